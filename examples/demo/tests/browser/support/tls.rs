//! https on loopback, with a certificate that is made for the test.

use axum::serve::Listener;
use base64::{Engine, prelude::BASE64_STANDARD};
use rcgen::{CertifiedKey, KeyPair, PublicKeyData, generate_simple_self_signed};
use sha2::{Digest, Sha256};
use std::{io, net::SocketAddr, sync::Arc};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
        version::TLS13,
    },
    server::TlsStream,
};

/// A certificate for every name that the tests use, and its key.
pub(crate) struct Certificate(CertifiedKey<KeyPair>);

impl Certificate {
    /// Makes one.
    pub(crate) fn new() -> Self {
        let names = ["*.example", "*.shop.example"].map(str::to_owned);
        Self(generate_simple_self_signed(names).unwrap())
    }

    /// What a browser is told to take the certificate by: the digest of its public key.
    pub(super) fn digest(&self) -> String {
        BASE64_STANDARD.encode(Sha256::digest(self.0.signing_key.subject_public_key_info()))
    }

    fn acceptor(&self) -> TlsAcceptor {
        let key = PrivatePkcs8KeyDer::from(self.0.signing_key.serialize_der());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.0.cert.der().clone()], PrivateKeyDer::from(key))
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// Takes connections, each as soon as its handshake is over: browsers open some that they do not use.
pub(super) struct TlsListener {
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    address: SocketAddr,
}

impl TlsListener {
    /// Begins to listen. Call it in a runtime.
    pub(super) fn new(listener: TcpListener, certificate: &Certificate) -> Self {
        let address = listener.local_addr().unwrap();
        let (hand_over, ready) = mpsc::channel(16);
        let acceptor = certificate.acceptor();
        tokio::spawn(async move {
            while let Ok((stream, peer)) = listener.accept().await {
                let (acceptor, hand_over) = (acceptor.clone(), hand_over.clone());
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        let _ = hand_over.send((stream, peer)).await;
                    }
                });
            }
        });
        Self { ready, address }
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}
