//! The kinds of resources, one file each: what is wished, what a host can have instead, how both compare.

mod account;
mod archive;
mod check;
mod command;
mod download;
mod etcd;
mod file;
mod host;
mod image;
mod module;
mod mount;
mod packages;
mod part;
mod path;
mod sysctl;
mod unit;

pub use account::{Group, GroupState, User, UserState};
pub use archive::{Archive, ArchiveState, Member};
pub use check::{Check, CheckState, Probe};
pub use command::{Command, CommandState, Guard};
pub use download::{Download, DownloadState};
pub use etcd::{
    EtcdChange, EtcdClient, EtcdExpected, EtcdHealth, EtcdHealthState, EtcdKeep, EtcdListed, EtcdMember,
    EtcdMemberState, EtcdQuorum, EtcdRestore, EtcdRestoreState, EtcdSeen, EtcdSnapshot, EtcdSnapshotState,
    EtcdSnapshotStatus, EtcdStatus,
};
pub use file::{File, FileState};
pub use host::{Hostname, HostnameState, Selinux, SelinuxMode, SelinuxState, Swap, SwapState};
pub use image::{Image, ImageEngine, ImageSource, ImageState, whole_reference};
pub use module::{Module, ModuleState};
pub use mount::{Mount, MountState};
pub use packages::{PackageManager, PackageWish, Packages, PackagesState};
pub use part::{Block, Line, PartState};
pub use path::{Absent, AbsentState, Directory, DirectoryState, Link, LinkState, PathKind};
pub use sysctl::{Sysctl, SysctlState};
pub use unit::{Running, Unit, UnitState};

/// A value in a difference: nothing where it is not there.
fn shown<T: ToString>(value: Option<&T>) -> Option<String> {
    value.map(ToString::to_string)
}
