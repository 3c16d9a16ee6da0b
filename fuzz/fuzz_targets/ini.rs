//! A file of any bytes is an inventory or one clear error; an inventory can be listed.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use kubespray_inventory::{Inventory, Options};
use libfuzzer_sys::fuzz_target;

/// One file for all rounds of this process.
static FILE: LazyLock<(tempfile::TempDir, PathBuf)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder for the inventory");
    let path = folder.path().join("hosts.ini");
    (folder, path)
});

fuzz_target!(|bytes: &[u8]| {
    let path = &FILE.1;
    std::fs::write(path, bytes).expect("the inventory can be written");
    match Inventory::load(&[path.to_string_lossy().into_owned()], &Options::default()) {
        Ok(inventory) => {
            let mut out = Vec::new();
            inventory.write_list(None, &mut out).expect("a list can be written to memory");
            let text = String::from_utf8(out).expect("the list is text");
            kubespray_value::json::read(&text).expect("the list is JSON");
            for host in inventory.hosts() {
                inventory.groups_of(host);
            }
        }
        Err(diagnostics) => {
            assert!(!format!("{diagnostics:?}").is_empty());
        }
    }
});
