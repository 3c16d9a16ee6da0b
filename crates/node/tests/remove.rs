//! Removing folders next to other mounts; needs root, and says so where it has none.
#![allow(missing_docs, clippy::pedantic, clippy::unwrap_used, clippy::panic, clippy::get_unwrap)]

mod common;

use std::fs;
use std::process::Command;

use common::World;
use kubespray_node::Host;

#[test]
fn what_is_mounted_below_a_folder_stays_also_of_the_same_file_system() {
    let world = World::new();
    world.put("/keep/data", "precious");
    world.put("/gone/a/b", "");
    world.put("/gone/volume/.x", "");
    let (from, to) = (world.path("/keep"), world.path("/gone/volume"));
    let mounted = Command::new("mount").arg("--bind").arg(&from).arg(&to).status();
    if !mounted.is_ok_and(|status| status.success()) {
        eprintln!("skipped: mounting is not allowed here");
        return;
    }
    let result = world.host.remove("/gone", true);
    let kept = fs::read_to_string(world.path("/keep/data"));
    let itself = world.host.remove("/gone/volume", true);
    assert!(Command::new("umount").arg(&to).status().unwrap().success());
    assert_eq!(kept.unwrap(), "precious");
    assert!(result.unwrap_err().to_string().contains("mounted from elsewhere"));
    assert!(itself.is_err());
    assert!(world.path("/keep/data").exists());
    assert!(!world.path("/gone/a").exists(), "all else is gone");
    world.host.remove("/gone", true).unwrap();
    assert!(!world.path("/gone").exists());
}
