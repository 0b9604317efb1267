//! The configuration file, and one variable of the environment: the last line.
#![no_main]

use dframework_session::Config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (file, variable) = text.rsplit_once('\n').unwrap_or((text, ""));
    let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
    let variable = [(format!("APP_{name}"), value.to_owned())];
    if let Ok(config) = Config::from_parts(Some(file), variable) {
        config.check().expect("what was read is checked");
        drop(format!("{config:?}"));
    }
});
