//! Where the board listens.

use crate::{
    error::{Error, Fault, Result},
    record::host_name,
};
use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener},
};

/// The first port that is tried where none is asked for.
const DEFAULT_PORT: u16 = 7117;
/// How many are tried then.
const TRIED: u16 = 20;

/// A socket that browsers can reach.
#[derive(Debug)]
pub struct Listening {
    pub socket: TcpListener,
    pub address: SocketAddr,
}

impl Listening {
    /// Listens at an address; where no port is asked for, at the first free one of some.
    ///
    /// # Errors
    /// A port that is taken, an address that is not this machine's.
    pub fn at(address: IpAddr, port: Option<u16>) -> Result<Self> {
        let ports = port.map_or(DEFAULT_PORT..=DEFAULT_PORT + TRIED - 1, |port| port..=port);
        let mut last = None;
        for port in ports {
            match TcpListener::bind((address, port)).and_then(|socket| Ok((socket.local_addr()?, socket))) {
                Ok((address, socket)) => return Ok(Self { socket, address }),
                Err(error) => last = Some((port, error)),
            }
        }
        let (port, error) = last.expect("at least one port is tried");
        Err(refused(address, port, &error))
    }

    /// What a person opens.
    pub fn url(&self, token: Option<&str>) -> String {
        let token = token.map(|token| format!("?token={token}")).unwrap_or_default();
        // Of an address that means all of this machine's, the machine's name is what others can open.
        let host = match self.address.ip().is_unspecified() {
            true => format!("{}:{}", host_name(), self.address.port()),
            false => self.address.to_string(),
        };
        format!("http://{host}/{token}")
    }
}

fn refused(address: IpAddr, port: u16, error: &io::Error) -> Error {
    let fault = Fault::new(format!("the board can't listen at {}: {error}", SocketAddr::new(address, port)));
    Error::config(match error.kind() {
        io::ErrorKind::AddrInUse => {
            fault.hint("another program has the port: name another with `--port`, or 0 for any")
        }
        io::ErrorKind::PermissionDenied => fault.hint("ports below 1024 are the system's: name another with `--port`"),
        io::ErrorKind::AddrNotAvailable => fault.hint("the address is none of this machine's: see `ip address`"),
        _ => fault,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn a_port_that_is_taken_is_told_and_another_is_found() {
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let first = Listening::at(here, Some(0)).unwrap();
        let taken = Listening::at(here, Some(first.address.port())).unwrap_err().to_string();
        assert!(taken.contains("another program has the port"), "{taken}");
        let (second, third) = (Listening::at(here, None).unwrap(), Listening::at(here, None).unwrap());
        assert_ne!(second.address, third.address);
        assert!(second.url(Some("ab")).ends_with("/?token=ab"));
    }
}
