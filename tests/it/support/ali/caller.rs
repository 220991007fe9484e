//! Which process is at the other end of a connection on loopback, by the system's tables. It must be asked while the
//! connection stands, and it names processes of this machine only.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

/// The process whose socket has the local address `peer`; none where the system does not tell.
pub fn process_at(peer: SocketAddr) -> Option<u32> {
    let SocketAddr::V4(peer) = peer else { return None };
    let mut octets = peer.ip().octets();
    octets.reverse();
    // As the kernel writes it: the address in the machine's order of bytes, the port in the network's.
    let wanted = format!("{:08X}:{:04X}", u32::from_be_bytes(octets), peer.port());
    let table = fs::read_to_string("/proc/net/tcp").ok()?;
    let inode = table.lines().find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        (fields.next()? == wanted).then(|| fields.nth(7).map(str::to_owned))?
    })?;
    let socket = format!("socket:[{inode}]");
    let processes = fs::read_dir("/proc").ok()?.filter_map(Result::ok);
    let mut numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    numbers.find(|number| holds(&Path::new("/proc").join(number.to_string()).join("fd"), &socket))
}

/// Whether one of the open files in that folder is the socket.
fn holds(folder: &Path, socket: &str) -> bool {
    let files = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut links = files.filter_map(|file| fs::read_link(file.path()).ok());
    links.any(|link| link.as_os_str() == socket)
}
