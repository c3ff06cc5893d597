//! The API behind the proxies of `benches/compare/run.sh`, as a program: `api ADDRESS` serves until it is killed.
//!
//! Without an address (so `cargo bench` and `cargo test --benches` run it) it tries itself once, over a socket.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::ExitCode,
};

#[path = "../peers/api.rs"]
mod api;

use api::Api;

fn main() -> ExitCode {
    // `cargo bench` says `--bench`, and whoever filters benches by name says that name: neither is an address.
    let address = std::env::args().nth(1).and_then(|first| first.parse::<SocketAddr>().ok());
    let done = match address {
        Some(address) => serve(address),
        None => try_once(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("api: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn serve(address: SocketAddr) -> io::Result<()> {
    let api =
        Api::start(address).map_err(|fault| io::Error::new(fault.kind(), format!("{address}: {fault}")))?;
    println!("{}", api.address());
    loop {
        std::thread::park();
    }
}

/// Everything that `run.sh` relies on.
fn try_once() -> io::Result<()> {
    let api = Api::start(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let mut connection = Connection::open(api.address())?;
    let hook = "POST /check HTTP/1.1\r\nHost: api\r\ncontent-length: 12\r\n\r\n{\"city\":\"X\"}";

    let (status, body) = connection.ask(hook)?;
    assert_eq!(status, 200);
    assert!(body.starts_with(r#"{"version":"1.0.0","action":"Continue","#), "{body}");
    assert!((220..=250).contains(&body.len()), "{}", body.len());
    assert_eq!(connection.ask("GET /-/last HTTP/1.1\r\n\r\n")?, (200, hook.to_owned()));

    for (name, status, action) in [("block", 200, "ShowBlockPage"), ("validation", 400, "ValidationError")] {
        assert_eq!(connection.ask(&format!("PUT /-/answer/{name} HTTP/1.1\r\n\r\n"))?, (200, String::new()));
        let (given, body) = connection.ask(hook)?;
        assert!(given == status && body.contains(action), "{given} {body}");
    }
    assert_eq!(connection.ask("PUT /-/answer/none HTTP/1.1\r\n\r\n")?.0, 404);

    // In two pieces, with the next request behind it.
    let (first, second) = hook.split_at(hook.len() - 4);
    connection.write(first)?;
    connection.write(&format!("{second}{hook}"))?;
    assert_eq!((connection.read()?.0, connection.read()?.0), (400, 400));
    assert_eq!(connection.ask("GET /-/count HTTP/1.1\r\nConnection: close\r\n\r\n")?, (200, "5".to_owned()));
    assert_eq!(connection.reader.read(&mut [0])?, 0, "closed when asked to");
    assert_eq!(api.hooks(), 5);

    // A body without its length is not guessed at.
    let mut connection = Connection::open(api.address())?;
    connection.write("POST /check HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    assert_eq!(connection.reader.read(&mut [0])?, 0, "closed");

    let address = api.address();
    drop(api);
    assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
    println!("api: fine");
    Ok(())
}

struct Connection {
    reader: BufReader<TcpStream>,
}

impl Connection {
    fn open(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { reader: BufReader::new(TcpStream::connect(address)?) })
    }

    fn ask(&mut self, request: &str) -> io::Result<(u16, String)> {
        self.write(request)?;
        self.read()
    }

    fn write(&mut self, bytes: &str) -> io::Result<()> {
        self.reader.get_mut().write_all(bytes.as_bytes())
    }

    /// Status and body of the next response.
    fn read(&mut self) -> io::Result<(u16, String)> {
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(rest) = line.strip_prefix("HTTP/1.1 ") {
                status = rest[..3].parse().expect("a status has three digits");
            } else if let Some(size) = line.strip_prefix("Content-Length: ") {
                length = size.trim().parse().expect("a length is a number");
            } else if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        self.reader.read_exact(&mut body)?;
        Ok((status, String::from_utf8(body).expect("it is text")))
    }
}
