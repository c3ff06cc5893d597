//! What a command says to whoever called it. A reader that has gone (`claimgate check … | true`) is no defect: what it
//! did not want to read is left out, and the exit status stays what it is.

use std::{
    fmt::Display,
    io::{self, Write as _},
};

/// Says it on standard output.
pub(super) fn out(text: impl Display) {
    let _reader_gone = write!(io::stdout(), "{text}");
}

/// Says it on standard error.
pub(super) fn err(text: impl Display) {
    let _reader_gone = write!(io::stderr(), "{text}");
}
