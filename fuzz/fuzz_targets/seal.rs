//! The value of a sealed cookie, as any client may send it.
#![no_main]

use dframework_session::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| fuzzing::open_seal(text));
