//! What is inside of a sealed cookie, as a later version with the same key may write it.
#![no_main]

use dframework_session::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|plain: &[u8]| fuzzing::open_plain(plain));
