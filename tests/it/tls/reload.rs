//! TLS that changes while hooks come: what is withdrawn is refused on the next hook, and nothing else is lost.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    version::{TLS12, TLS13},
};
use tokio::time::Instant;

use super::{
    super::{
        reload::{IN_FORCE, REFUSED, reload},
        support::{certificates::Kind, peers::without_openssl, soak},
    },
    *,
};

/// A client that trusts these certificates' authority, and shows a certificate if it has one.
struct TlsClient {
    config: Arc<ClientConfig>,
    address: std::net::SocketAddr,
}

type Connection = StreamOwned<ClientConnection, TcpStream>;

impl TlsClient {
    fn new(
        gateway: &Gateway,
        certificates: &Certificates,
        version: &'static SupportedProtocolVersion,
        shown: Option<&Files>,
    ) -> Self {
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_file(certificates.ca()).expect("the authority has a certificate");
        roots.add(ca).expect("it can be trusted");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .expect("the version is there")
            .with_root_certificates(roots);
        let config = match shown {
            None => config.with_no_client_auth(),
            Some(files) => {
                let chain = CertificateDer::from_pem_file(&files.certificate).expect("it is PEM");
                let key = PrivateKeyDer::from_pem_file(&files.key).expect("it is PEM");
                config.with_client_auth_cert(vec![chain], key).expect("they belong together")
            }
        };
        Self { config: Arc::new(config), address: gateway.address() }
    }

    /// A connection whose handshake comes with its first hook.
    fn connect(&self) -> Connection {
        let tcp = TcpStream::connect(self.address).expect("the port is open");
        tcp.set_read_timeout(Some(Duration::from_secs(10))).expect("a time-out can be set");
        let name = ServerName::try_from("localhost").expect("it is a name");
        let tls = ClientConnection::new(Arc::clone(&self.config), name).expect("the settings fit");
        StreamOwned::new(tls, tcp)
    }
}

/// Sends a hook and returns the answer's status and head; an error if there is none.
fn ask(connection: &mut Connection, authorization: &str) -> std::io::Result<(u16, String)> {
    let length = HOOK.len();
    let request = format!(
        "POST /flows/{FLOW}/{STEP} HTTP/1.1\r\nHost: localhost\r\n{authorization}Content-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{HOOK}"
    );
    connection.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&answer).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
            let length: usize = length.and_then(|length| length.parse().ok()).expect("it has a length");
            if body.len() >= length {
                let status = head.get(9..12).and_then(|status| status.parse().ok()).expect("it has a status");
                return Ok((status, head));
            }
        }
        let mut piece = [0; 4096];
        match connection.read(&mut piece)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            count => answer.extend_from_slice(&piece[..count]),
        }
    }
}

fn basic_line() -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    format!("Authorization: Basic {}\r\n", STANDARD.encode(basic()))
}

#[test]
fn a_certificate_that_is_withdrawn_is_refused_on_its_open_connection_a_resumed_session_and_a_new_one() {
    if without_openssl() {
        return;
    }
    let (api, certificates) = (api(), Certificates::new());
    let old = certificates.self_signed("old.example", Kind::Ecdsa, 2020, 4000);
    let new = certificates.self_signed("new.example", Kind::Ecdsa, 2020, 4000);
    let listen = Certificates::listen(&certificates.server(Kind::Ecdsa), "");
    let caller = |files| format!("certificate: {{ thumbprint: \"{}\" }}", thumbprint(files));
    for version in [&TLS13, &TLS12] {
        let gateway = gateway(&api, &listen, &caller(&old));
        let client = TlsClient::new(&gateway, &certificates, version, Some(&old));
        let mut open = client.connect();
        // Another one for a session to resume.
        let mut before = client.connect();
        for connection in [&mut open, &mut before] {
            assert_eq!(ask(connection, "").expect("it is trusted").0, 200);
        }
        drop(before);
        let text = fs::read_to_string(gateway.config()).expect("it was written");
        fs::write(gateway.config(), text.replace(&thumbprint(&old), &thumbprint(&new))).expect("it can be");
        reload(&gateway, IN_FORCE);
        let (status, head) = ask(&mut open, "").expect("the connection is open");
        assert!(status == 401 && head.contains("connection: close"), "{head}");
        assert!(ask(&mut client.connect(), "").is_err(), "neither anew nor resumed");
        let client = TlsClient::new(&gateway, &certificates, version, Some(&new));
        assert_eq!(ask(&mut client.connect(), "").expect("this one is trusted").0, 200);
    }
}

#[test]
fn a_key_of_another_certificate_is_refused_and_the_one_before_is_shown_on() {
    let (api, certificates) = (api(), Certificates::new());
    let files = certificates.server(Kind::Ecdsa);
    let gateway = gateway(&api, &Certificates::listen(&files, ""), "");
    let key = fs::read(&files.key).expect("it was written");
    let other = certificates.client("other.example");
    fs::copy(&other.key, &files.key).expect("a file can be copied");
    reload(&gateway, REFUSED);
    assert!(
        gateway.stderr_text().contains("does not belong to the certificate"),
        "{}",
        gateway.stderr_text()
    );
    let client = TlsClient::new(&gateway, &certificates, &TLS13, None);
    assert_eq!(ask(&mut client.connect(), &basic_line()).expect("the one before is shown").0, 200);
    fs::write(&files.key, key).expect("it can be written");
    reload(&gateway, "the configuration is the one in force");
}

/// New and kept connections, while certificate and key of the hook port are replaced all the time.
#[test]
fn no_hook_is_lost_while_the_certificate_changes_all_the_time() {
    let (api, certificates) = (api(), Certificates::new());
    let gateway = gateway(&api, &Certificates::listen(&certificates.server(Kind::Ecdsa), ""), "");
    let over = Arc::new(AtomicBool::new(false));
    let kept = [(&TLS13, 50), (&TLS12, 50), (&TLS13, 2), (&TLS12, 2)];
    let load = kept.map(|(version, hooks)| {
        let client = TlsClient::new(&gateway, &certificates, version, None);
        let over = Arc::clone(&over);
        thread::spawn(move || {
            let (mut count, mut shown) = (0_usize, Vec::new());
            while !over.load(Ordering::Relaxed) {
                let mut connection = client.connect();
                for _ in 0..hooks {
                    let (status, head) = ask(&mut connection, &basic_line()).expect("no hook is lost");
                    assert!(status == 200 && !head.contains("connection: close"), "{head}");
                    count += 1;
                }
                let leaf = connection.conn.peer_certificates().and_then(<[_]>::first).cloned();
                shown.push(leaf.expect("a server shows a certificate"));
            }
            shown.dedup();
            (count, shown.len())
        })
    });
    let begin = Instant::now();
    let mut reloads = 0;
    while begin.elapsed() < soak() {
        certificates.server(Kind::Ecdsa);
        reload(&gateway, IN_FORCE);
        reloads += 1;
    }
    over.store(true, Ordering::Relaxed);
    let results = load.map(|thread| thread.join().expect("no hook failed"));
    let hooks: usize = results.iter().map(|(count, _)| count).sum();
    println!("{hooks} hooks over {reloads} certificates");
    assert!(reloads > 2 && results.iter().all(|(count, shown)| *count > 0 && *shown > 1), "{results:?}");
}
