//! Claims on their way: which names are the same claim, which are selected, and the pass that copies those alone.
//!
//! A message is never turned into a tree. [`object::read`] lists the members of its top-level object as slices of the
//! message, [`Selection::apply`] copies the selected ones byte for byte. So a number keeps every digit, and what was
//! not selected has no path to the other side.

mod distinct;
#[cfg(test)]
pub(crate) mod generated;
#[cfg(any(test, fuzzing))]
pub mod law;
mod name;
pub mod object;
mod plain;
#[cfg(test)]
mod properties;
mod selection;
mod subject;

pub use distinct::DistinctClaims;
pub use name::{ClaimName, ClaimNameError, reserved_key};
pub use object::{MAX_DEPTH, Member, ObjectError};
pub use selection::{Match, Selected, Selection, Verdict};
pub use subject::{User, names_subject, user};

/// Appends `text` as a JSON string.
pub(crate) fn write_json_string(out: &mut Vec<u8>, text: &str) {
    // What RFC 8259 section 7 has escaped. Hardly any text has such a byte; without an early exit the compiler looks at
    // many of them at a time.
    let escape = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    if text.bytes().fold(false, |any, byte| any | escape(byte)) {
        serde_json::to_writer(out, text).expect("a string is written into memory, which does not fail");
        return;
    }
    out.reserve(text.len() + r#""""#.len());
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}
