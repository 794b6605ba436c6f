//! The `generateContent` stream.
#![no_main]

mod decode;

use libfuzzer_sys::fuzz_target;
use ropeway::config::ProviderKind;

fuzz_target!(|data: &[u8]| decode::check(ProviderKind::Google, "", data));
