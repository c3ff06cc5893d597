//! The exchange over scripted streams: which answers are taken, which are refused, and that pieces make no difference.

mod answers;
mod pieces;
mod script;
mod table;
mod timing;
