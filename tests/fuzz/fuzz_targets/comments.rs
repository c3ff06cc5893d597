#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| claimgate::connector::normalize::law::comments(data));
