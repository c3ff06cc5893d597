#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| claimgate::flow::claims::law::filter(data));
