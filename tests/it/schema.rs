//! `claimgate schema`: the file in `config/` is what the program prints.

use std::process::Stdio;

use super::support::claimgate;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/claimgate.schema.json");

/// Writes the file anew instead of comparing it.
const UPDATE: &str = "UPDATE_SCHEMA";

#[test]
fn the_file_is_what_the_program_prints() {
    let output = claimgate(["schema"]).stdin(Stdio::null()).output().expect("the program can be started");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    if std::env::var_os(UPDATE).is_some_and(|value| value == "1") {
        std::fs::write(FILE, &output.stdout).expect("the schema can be written");
        return;
    }
    let (printed, file) = (String::from_utf8(output.stdout).unwrap(), std::fs::read_to_string(FILE).unwrap());
    let differs = printed.lines().zip(file.lines()).position(|(printed, file)| printed != file);
    assert!(
        printed == file,
        "config/claimgate.schema.json is stale, from line {}\nTo renew it: claimgate schema > \
         config/claimgate.schema.json, or {UPDATE}=1 cargo test --test it schema",
        differs.unwrap_or_else(|| printed.lines().count().min(file.lines().count())) + 1,
    );
}
