//! Whatever is read as YAML can be written, and read again as the same value.
#![no_main]

use kubespray_yaml::{Layout, emit, read, read_all};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = read_all(text);
    if let Ok(value) = read(text)
        && let Ok(written) = emit(&value, &Layout::YAML)
    {
        // Keys are written in order, and nan is not equal to itself: the texts are compared, which tell a
        // number from a text by its quotes.
        let again = read(&written).unwrap_or_else(|error| panic!("{error}\nwritten as\n{written}"));
        assert_eq!(emit(&again, &Layout::YAML).expect("it was written before"), written);
    }
});
