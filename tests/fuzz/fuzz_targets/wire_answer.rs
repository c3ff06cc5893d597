#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| claimgate::upstream::exchange::law::answer(data));
