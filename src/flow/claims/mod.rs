//! Claims on their way: which names are the same claim, which are selected, and the pass that copies those alone.
//!
//! A message is never turned into a tree. [`object::read`] lists the members of its top-level object as slices of the
//! message, [`Selection::apply`] copies the selected ones byte for byte. So a number keeps every digit, and what was
//! not selected has no path to the other side.

#[cfg(test)]
pub(crate) mod generated;
#[cfg(any(test, fuzzing))]
pub mod law;
mod name;
pub mod object;
#[cfg(test)]
mod properties;
mod selection;
mod subject;

pub use name::{ClaimName, ClaimNameError, reserved_key};
pub use object::{MAX_DEPTH, Member, ObjectError};
pub use selection::{Match, Selected, Selection, Verdict};
pub use subject::{User, names_subject, user};

/// Appends `text` as a JSON string.
pub(crate) fn write_json_string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a string is written into memory, which does not fail");
}
