//! `schema`: prints the JSON Schema of the configuration.

use super::{FINE, tell};
use crate::config::schema;

pub(super) fn run() -> u8 {
    tell::out(schema::json());
    FINE
}
