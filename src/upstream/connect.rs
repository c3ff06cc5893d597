//! Makes connections: name, TCP, TLS, all within one time-out.

use std::{io, net::SocketAddr};

use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};

use super::{Detail, SystemFault, Target, Until, WireFailure, failure::of_tls};
use crate::{
    flow::Reason,
    tls::{Fault, Stream},
};

/// Most addresses of a name that are tried for one connection.
const MAX_ADDRESSES: usize = 4;

/// A new connection to `target`, within its `connect_timeout` and within `until`.
pub(super) async fn connect(target: &Target, until: Until) -> Result<Stream, WireFailure> {
    let own_end = Instant::now() + target.connect_timeout;
    let end = own_end.min(until.earliest());
    let elapsed = if until.is_deadline() && until.deadline <= own_end {
        Reason::Deadline
    } else {
        Reason::ConnectTimeout
    };
    match timeout_at(end, establish(target, end)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err((reason, detail))) => Err(WireFailure::before_sending(reason, detail)),
        Err(_) => Err(WireFailure::before_sending(elapsed, Detail::Elapsed)),
    }
}

async fn establish(target: &Target, end: Instant) -> Result<Stream, (Reason, Detail)> {
    let addresses = target.lookups.addresses(&target.host, target.port).await?;
    let tcp = connect_any(&in_turn(&addresses), end).await?;
    // A request is one write, and waits for its answer: there is nothing to gather.
    tcp.set_nodelay(true).map_err(|error| of_system(&error, Reason::Refused))?;
    match &target.tls {
        None => Ok(Stream::Plain(tcp)),
        Some(tls) => tls.connect(tcp).await.map_err(|error| {
            if let Some(fault) = Fault::of(&error) {
                return of_tls(fault);
            }
            let closed = error.kind() == io::ErrorKind::UnexpectedEof;
            if closed { (Reason::Tls, Detail::Closed) } else { of_system(&error, Reason::Tls) }
        }),
    }
}

/// The addresses to try, in the resolver's order but with the families taking turns (RFC 8305 section 4), so that a
/// family without a route does not use up all attempts.
fn in_turn(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let mut rest = addresses.to_vec();
    let mut chosen: Vec<SocketAddr> = Vec::with_capacity(rest.len().min(MAX_ADDRESSES));
    while !rest.is_empty() && chosen.len() < MAX_ADDRESSES {
        let other_family =
            |next: &SocketAddr| chosen.last().is_none_or(|last| last.is_ipv4() != next.is_ipv4());
        let position = rest.iter().position(other_family).unwrap_or(0);
        chosen.push(rest.remove(position));
    }
    chosen
}

/// The first address that takes the connection. Each one but the last gets an equal share of the time that is left, so
/// an address that swallows everything leaves time for the next; the last one is ended by whoever waits for this. Of
/// several failures the first that is the API's is told: an address that this machine has no way to is no news.
async fn connect_any(addresses: &[SocketAddr], end: Instant) -> Result<TcpStream, (Reason, Detail)> {
    let mut told: Option<(Reason, Detail)> = None;
    for (address, left) in addresses.iter().zip((1..=addresses.len()).rev()) {
        let now = Instant::now();
        let share = end.saturating_duration_since(now) / u32::try_from(left).unwrap_or(u32::MAX);
        let connecting = TcpStream::connect(address);
        let connected =
            if left == 1 { Ok(connecting.await) } else { timeout_at(now + share, connecting).await };
        let failure = match connected {
            Ok(Ok(tcp)) => return Ok(tcp),
            Ok(Err(error)) => of_connecting(&error, address),
            Err(_) => (Reason::ConnectTimeout, Detail::Elapsed),
        };
        if told.as_ref().is_none_or(|(reason, _)| *reason == Reason::NoResources) {
            told = Some(failure);
        }
    }
    Err(told.unwrap_or_else(|| (Reason::Dns, Detail::Resolver("the name has no address".to_owned()))))
}

/// Where IPv6 is switched off, its addresses are refused with the code that says for IPv4 that no port is left.
fn of_connecting(error: &io::Error, address: &SocketAddr) -> (Reason, Detail) {
    if address.is_ipv6() && error.kind() == io::ErrorKind::AddrNotAvailable {
        return (Reason::Refused, Detail::Io(SystemFault::of(error)));
    }
    of_system(error, Reason::Refused)
}

/// What the system's error in the making of a connection means: `otherwise`, unless it is about claimgate's own side.
pub(super) fn of_system(error: &io::Error, otherwise: Reason) -> (Reason, Detail) {
    let fault = SystemFault::of(error);
    let reason = if fault.is_lack_of_resources() { Reason::NoResources } else { otherwise };
    (reason, Detail::Io(fault))
}

#[cfg(test)]
mod tests;
