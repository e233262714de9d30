//! This machine's address, as the other processes of a run reach it.

use crate::error::{Error, Fault, Result};
use std::net::{IpAddr, ToSocketAddrs, UdpSocket};

/// PyTorch's variable for the network interface to use.
const INTERFACE: &str = "GLOO_SOCKET_IFNAME";

/// The address of the interface that the user has named; none where none is named.
///
/// # Errors
/// An interface that this machine does not have, with those that it has (exit code 2).
pub fn of_named_interface() -> Result<Option<IpAddr>> {
    let Some(names) = std::env::var(INTERFACE).ok().filter(|names| !names.trim().is_empty()) else { return Ok(None) };
    let interfaces = if_addrs::get_if_addrs().map_err(Error::io("list the network interfaces of", "/sys/class/net"))?;
    // Of several, the first; of an interface's addresses an IPv4 one, if it has any.
    let name = names.split(',').next().unwrap_or_default().trim();
    let of_it = interfaces.iter().filter(|interface| interface.name == name).map(|interface| interface.ip());
    of_it.min_by_key(IpAddr::is_ipv6).map(Some).ok_or_else(|| {
        let mut known: Vec<&str> = interfaces.iter().map(|interface| interface.name.as_str()).collect();
        known.dedup();
        let message = format!("`{INTERFACE}` = `{names}`, but this machine has no such network interface");
        Error::config(Fault::new(message).hint(format!("it has {}", known.join(", "))))
    })
}

/// The address that a packet to a host would leave from; none where the host's name can't be resolved.
pub fn towards(host: &str, port: u16) -> Option<IpAddr> {
    let target = (host, port).to_socket_addrs().ok()?.next()?;
    let any = if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(target).ok()?; // sends nothing
    Some(socket.local_addr().ok()?.ip())
}

/// The address to use, where `own` is what [`towards`] gave for the store and `others` what it gave on the other processes.
///
/// A machine that knows its own name as 127.0.1.1 is seen by others under an address that leads to them.
pub fn reachable(own: IpAddr, others: &[IpAddr]) -> IpAddr {
    if !own.is_loopback() {
        return own;
    }
    let away = others.iter().find(|other| !other.is_loopback());
    away.and_then(|other| towards(&other.to_string(), 9)).unwrap_or(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_of_one_machine_stay_on_the_loopback_and_others_are_met_where_they_are() {
        let local: IpAddr = "127.0.0.1".parse().unwrap();
        let debian: IpAddr = "127.0.1.1".parse().unwrap();
        let away: IpAddr = "10.0.0.2".parse().unwrap();
        assert_eq!(reachable(debian, &[local, debian]), debian);
        assert_eq!(reachable(away, &[local]), away);
        assert_eq!(towards("127.0.0.1", 9), Some(local));
        assert_eq!(towards("no.such.name.invalid", 9), None);
        let Some(own) = towards("10.0.0.2", 9) else { return }; // a machine without a network
        assert_eq!(reachable(debian, &[local, away]), own);
    }
}
