//! Doors for the fuzz targets in `fuzz/`, to what no public function reaches yet. They are in no build for users: the
//! compiler has to be told `--cfg fuzzing`.

use crate::stealth;

/// Opens the value of a cookie for every purpose, and seals again what opens.
pub fn open_seal(text: &[u8]) {
    stealth::fuzzing::open_seal(text);
}

/// Seals bytes as if a header, a record and an end mark had been written, and opens that.
pub fn open_plain(plain: &[u8]) {
    stealth::fuzzing::open_plain(plain);
}
