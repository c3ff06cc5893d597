#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| claimgate::gateway::law::hook(data));
