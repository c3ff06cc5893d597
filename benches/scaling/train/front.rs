//! TLS before an API that speaks plain HTTP.

use std::{fs, io, net::SocketAddr, path::Path, sync::Arc};

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

/// Listens with the certificate that is in this folder, and hands on to this address what comes, until the runtime ends.
pub(super) async fn before(api: SocketAddr, directory: &Path) -> io::Result<SocketAddr> {
    let acceptor = acceptor(directory)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            // Whoever speaks no TLS, and whoever hangs up, loses the connection; the hook that needs it tells.
            tokio::spawn(async move { hand_on(&acceptor, stream, api).await });
        }
    });
    Ok(address)
}

async fn hand_on(acceptor: &TlsAcceptor, stream: TcpStream, api: SocketAddr) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut caller = acceptor.accept(stream).await?;
    let mut api = TcpStream::connect(api).await?;
    api.set_nodelay(true)?;
    copy_bidirectional(&mut caller, &mut api).await.map(drop)
}

fn acceptor(directory: &Path) -> io::Result<TlsAcceptor> {
    let certificate = CertificateDer::from_pem_slice(&fs::read(directory.join("hooks.pem"))?);
    let key = PrivateKeyDer::from_pem_slice(&fs::read(directory.join("hooks.key"))?);
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.map_err(io::Error::other)?], key.map_err(io::Error::other)?)
        .map_err(io::Error::other)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
