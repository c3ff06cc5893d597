//! Where a hook's body or a recorded answer comes from.

use std::{
    convert::Infallible,
    fs::File,
    io::{self, IsTerminal as _, Read},
    path::PathBuf,
    str::FromStr,
};

use super::{named, refuse};
use crate::cli::{CANNOT, tell};

/// A file, or standard input.
#[derive(Clone, Debug)]
pub(super) enum Input {
    /// `-`
    Standard,
    /// This file.
    File(PathBuf),
}

impl FromStr for Input {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(if text == "-" { Self::Standard } else { Self::File(text.into()) })
    }
}

impl Input {
    /// The contents; of one that is larger than `most` bytes, only so much that this shows. The exit status if it cannot
    /// be read, which is told.
    pub(super) fn read(&self, most: usize) -> Result<Vec<u8>, u8> {
        let (name, bytes) = match self {
            Self::Standard => {
                if io::stdin().is_terminal() {
                    tell::err("reading standard input; Ctrl-D ends it\n");
                }
                ("standard input".to_owned(), bounded(io::stdin(), most))
            }
            Self::File(path) => (named(path), File::open(path).and_then(|file| bounded(file, most))),
        };
        bytes.map_err(|error| refuse(CANNOT, format_args!("{name} cannot be read: {error}")))
    }
}

fn bounded(from: impl Read, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(most as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
