//! Tests against a server that reads the startup message and responds that it is starting
//! up.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::Arc,
    thread,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ServerConfig, ServerConnection, Stream,
    crypto::ring,
    pki_types::{PrivateKeyDer, pem::PemObject},
};
use tempfile::NamedTempFile;

use crate::{PgError, connect::Target};

const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
const NOT_READY: &[u8] = b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0";

/// A certificate for `localhost`, and a file with the authority that signed it.
struct Identity {
    config: Arc<ServerConfig>,
    authority: NamedTempFile,
}

impl Identity {
    fn new() -> Self {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority =
            CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["localhost".to_owned()])
            .unwrap()
            .signed_by(&key, &authority)
            .unwrap();
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(authority.pem().as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        Self {
            config: Arc::new(config),
            authority: file,
        }
    }

    fn authority(&self) -> String {
        self.authority.path().display().to_string()
    }
}

/// Starts a server. Without an identity it does not support TLS.
fn serve(identity: Option<&Identity>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = identity.map(|identity| identity.config.clone());
    thread::spawn(move || {
        for socket in listener.incoming().take(2) {
            // Errors show on the client's side.
            let _ = answer(&mut socket.unwrap(), config.clone());
        }
    });
    port
}

fn answer(socket: &mut TcpStream, config: Option<Arc<ServerConfig>>) -> std::io::Result<()> {
    let mut request = [0; 8];
    socket.peek(&mut request)?;
    if request != SSL_REQUEST {
        return refuse(socket);
    }
    socket.read_exact(&mut request)?;
    let Some(config) = config else {
        socket.write_all(b"N")?;
        return refuse(socket);
    };
    socket.write_all(b"S")?;
    let mut connection = ServerConnection::new(config).map_err(std::io::Error::other)?;
    refuse(&mut Stream::new(&mut connection, socket))
}

/// Reads the startup message and responds that the server is starting up.
fn refuse(stream: &mut (impl Read + Write)) -> std::io::Result<()> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut message = vec![0; u32::from_be_bytes(length) as usize - 4];
    stream.read_exact(&mut message)?;
    let length = u32::try_from(NOT_READY.len()).unwrap() + 4;
    stream.write_all(b"E")?;
    stream.write_all(&length.to_be_bytes())?;
    stream.write_all(NOT_READY)?;
    stream.flush()
}

/// Connects. `Ok` if the server's response was received.
async fn connect(host: &str, port: u16, parameters: &str) -> Result<(), String> {
    let url = format!("postgres://u@{host}:{port}/d?{parameters}");
    let target = Target::parse(&url, "usher").map_err(|error| error.to_string())?;
    match target.open().await {
        Err(PgError::Unavailable(text)) if text.contains("57P03") => Ok(()),
        Err(error) => Err(error.to_string()),
        Ok(_) => panic!("the server accepts no connections"),
    }
}

#[tokio::test]
async fn certificates_are_verified_as_the_mode_requires() {
    let (ours, other) = (Identity::new(), Identity::new());
    let (known, unknown) = (ours.authority(), other.authority());
    for (host, parameters, is_accepted) in [
        ("localhost", "sslmode=disable".to_owned(), true),
        ("localhost", "sslmode=prefer".to_owned(), true),
        ("127.0.0.1", "sslmode=require".to_owned(), true),
        (
            "localhost",
            format!("sslmode=verify-full&sslrootcert={known}"),
            true,
        ),
        (
            "127.0.0.1",
            format!("sslmode=verify-full&sslrootcert={known}"),
            false,
        ),
        (
            "localhost",
            format!("sslmode=verify-full&sslrootcert={unknown}"),
            false,
        ),
        ("localhost", "sslmode=verify-full".to_owned(), false),
        (
            "127.0.0.1",
            format!("sslmode=verify-ca&sslrootcert={known}"),
            true,
        ),
        (
            "localhost",
            format!("sslmode=verify-ca&sslrootcert={unknown}"),
            false,
        ),
        (
            "localhost",
            format!("sslmode=require&sslrootcert={unknown}"),
            false,
        ),
    ] {
        let port = serve(Some(&ours));

        let result = connect(host, port, &parameters).await;

        assert_eq!(
            result.is_ok(),
            is_accepted,
            "{host} {parameters}: {result:?}"
        );
        if let Err(error) = result {
            assert!(error.contains("certificate"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_server_without_tls_is_rejected_only_if_tls_is_required() {
    for (parameters, is_accepted) in [
        ("sslmode=disable", true),
        ("sslmode=prefer", true),
        ("", true),
        ("sslmode=require", false),
        ("sslmode=verify-full", false),
    ] {
        let port = serve(None);

        let result = connect("127.0.0.1", port, parameters).await;

        assert_eq!(result.is_ok(), is_accepted, "{parameters}: {result:?}");
    }
}
