//! Signed tokens of a provider (RFC 7515, 7517, 7519).
//!
//! Claims stay JSON: settings decide which ones are read, links store all of them, and a claim of
//! an unexpected type must not invalidate the others.

use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, Validation, decode, decode_header,
    errors::{Error, ErrorKind},
    jwk::{AlgorithmParameters, Jwk, KeyAlgorithm, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::{Map, Value};

/// The accepted algorithms: those with public keys. HMAC algorithms are keyed with the client
/// secret, which would then be enough to sign in as any user.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];
/// The accepted clock skew, in seconds.
const LEEWAY: u64 = 60;

/// The signing keys of a provider.
#[derive(Debug)]
pub(crate) struct KeySet(Vec<Jwk>);

/// Why a token is invalid.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TokenFault {
    /// No key matches the signature. Newer keys may.
    Signature,
    /// It is invalid with any key.
    Unusable(String),
}

impl KeySet {
    /// Parses a key set. Ignores keys of unknown types.
    pub(crate) fn parse(json: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<Value>,
        }
        let document: Document = serde_json::from_slice(json).ok()?;
        let keys = document
            .keys
            .into_iter()
            .filter_map(|key| serde_json::from_value(key).ok())
            .collect();
        Some(Self(keys))
    }

    /// Whether one of the keys can verify tokens.
    pub(crate) fn has_usable_key(&self) -> bool {
        self.0.iter().any(|key| {
            ALGORITHMS
                .into_iter()
                .any(|algorithm| matches(key, None, algorithm))
                && DecodingKey::from_jwk(key).is_ok()
        })
    }

    /// Returns the claims of a token that is signed with one of the keys, for this audience, and
    /// valid now.
    pub(crate) fn verify(
        &self,
        token: &str,
        audience: &str,
    ) -> Result<Map<String, Value>, TokenFault> {
        let header = decode_header(token)
            .map_err(|_| TokenFault::Unusable("the token is not a JWT".to_owned()))?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(TokenFault::Unusable(
                "the token is signed with an unsupported algorithm".to_owned(),
            ));
        }
        let mut validation = Validation::new(header.alg);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["aud", "exp"]);
        validation.validate_nbf = true;
        validation.leeway = LEEWAY;
        let candidates = self
            .0
            .iter()
            .filter(|key| matches(key, header.kid.as_deref(), header.alg));
        for key in candidates {
            let Ok(key) = DecodingKey::from_jwk(key) else {
                continue;
            };
            match decode(token, &key, &validation) {
                Ok(token) => return Ok(token.claims),
                Err(error) => {
                    if let Some(reason) = claims_error(&error) {
                        return Err(TokenFault::Unusable(reason));
                    }
                }
            }
        }
        Err(TokenFault::Signature)
    }
}

/// Whether a token with this key ID and algorithm may have been signed with the key.
fn matches(key: &Jwk, key_id: Option<&str>, algorithm: Algorithm) -> bool {
    let family = match &key.algorithm {
        AlgorithmParameters::RSA(_) => AlgorithmFamily::Rsa,
        AlgorithmParameters::EllipticCurve(_) => AlgorithmFamily::Ec,
        AlgorithmParameters::OctetKeyPair(_) => AlgorithmFamily::Ed,
        _ => return false,
    };
    let common = &key.common;
    let is_named = match (key_id, common.key_id.as_deref()) {
        (Some(wanted), Some(name)) => wanted == name,
        _ => true,
    };
    family == algorithm.family()
        && is_named
        && common.public_key_use != Some(PublicKeyUse::Encryption)
        && common
            .key_algorithm
            .is_none_or(|named| is_same(named, algorithm))
}

fn is_same(named: KeyAlgorithm, algorithm: Algorithm) -> bool {
    serde_json::to_value(named).ok() == serde_json::to_value(algorithm).ok()
}

/// The error of the claims, if the signature is valid.
fn claims_error(error: &Error) -> Option<String> {
    Some(match error.kind() {
        ErrorKind::ExpiredSignature => "the token has expired".to_owned(),
        ErrorKind::ImmatureSignature => "the token is not valid yet".to_owned(),
        ErrorKind::InvalidAudience => "the token is for another audience".to_owned(),
        ErrorKind::MissingRequiredClaim(name) => format!("the token has no valid claim {name}"),
        ErrorKind::InvalidClaimFormat(name) => format!("the claim {name} has an invalid type"),
        ErrorKind::Json(_) | ErrorKind::Utf8(_) | ErrorKind::Base64(_) => {
            "the claims of the token are not valid JSON".to_owned()
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
    use jsonwebtoken::{EncodingKey, Header, encode, get_current_timestamp};
    use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
    use serde_json::json;

    use super::*;

    const AUDIENCE: &str = "usher";

    /// A key pair, with its public key as JSON.
    struct Signer {
        algorithm: Algorithm,
        private: EncodingKey,
        public: Value,
    }

    impl Signer {
        fn new(algorithm: Algorithm) -> Self {
            let pair = |kind| KeyPair::generate_for(kind).unwrap();
            let b64 = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
            let curve = |pair: &KeyPair, name: &str| {
                // 4, then both coordinates (SEC 1, 2.3.3).
                let point = &pair.public_key_raw()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                json!({"kty": "EC", "crv": name, "x": b64(x), "y": b64(y)})
            };
            let (private, public) = match algorithm {
                Algorithm::ES256 => {
                    let pair = pair(&PKCS_ECDSA_P256_SHA256);
                    let key = EncodingKey::from_ec_der(&pair.serialize_der());
                    (key, curve(&pair, "P-256"))
                }
                Algorithm::ES384 => {
                    let pair = pair(&PKCS_ECDSA_P384_SHA384);
                    let key = EncodingKey::from_ec_der(&pair.serialize_der());
                    (key, curve(&pair, "P-384"))
                }
                Algorithm::EdDSA => {
                    let pair = pair(&PKCS_ED25519);
                    let x = b64(pair.public_key_raw());
                    let key = EncodingKey::from_ed_der(&pair.serialize_der());
                    (key, json!({"kty": "OKP", "crv": "Ed25519", "x": x}))
                }
                Algorithm::HS256 => {
                    let key = EncodingKey::from_secret(b"secret");
                    (key, json!({"kty": "oct", "k": b64(b"secret")}))
                }
                other => panic!("unsupported: {other:?}"),
            };
            Self {
                algorithm,
                private,
                public,
            }
        }

        fn published(&self, more: &Value) -> Value {
            let mut key = self.public.clone();
            key.as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            key
        }

        fn sign(&self, key_id: Option<&str>) -> String {
            let mut header = Header::new(self.algorithm);
            header.kid = key_id.map(str::to_owned);
            let claims = json!({"aud": AUDIENCE, "exp": get_current_timestamp() + 60, "sub": "1"});
            encode(&header, &claims, &self.private).unwrap()
        }
    }

    fn set(keys: &[Value]) -> KeySet {
        KeySet::parse(json!({"keys": keys}).to_string().as_bytes()).unwrap()
    }

    fn is_valid(keys: &[Value], token: &str) -> bool {
        set(keys).verify(token, AUDIENCE).is_ok()
    }

    #[test]
    fn every_type_of_public_key_verifies() {
        for algorithm in [Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA] {
            let signer = Signer::new(algorithm);
            let other = Signer::new(algorithm);
            let keys = [other.published(&json!({})), signer.published(&json!({}))];
            assert!(is_valid(&keys, &signer.sign(None)), "{algorithm:?}");
            assert!(!is_valid(&keys[..1], &signer.sign(None)), "{algorithm:?}");
        }
    }

    #[test]
    fn a_published_shared_secret_is_not_a_valid_key() {
        let signer = Signer::new(Algorithm::HS256);
        let result = set(&[signer.published(&json!({}))]).verify(&signer.sign(None), AUDIENCE);
        assert!(matches!(result, Err(TokenFault::Unusable(_))), "{result:?}");
    }

    #[test]
    fn a_key_is_used_for_its_published_id_use_and_algorithm() {
        let signer = Signer::new(Algorithm::ES256);
        let named = signer.sign(Some("a"));
        let valid = |more: Value| is_valid(&[signer.published(&more)], &named);
        assert!(valid(json!({"kid": "a", "use": "sig", "alg": "ES256"})));
        assert!(valid(json!({})));
        assert!(!valid(json!({"kid": "b"})));
        assert!(!valid(json!({"use": "enc"})));
        assert!(!valid(json!({"alg": "ES384"})));
        assert!(is_valid(
            &[signer.published(&json!({"kid": "b"}))],
            &signer.sign(None)
        ));
    }

    #[test]
    fn unknown_and_malformed_keys_are_ignored() {
        let signer = Signer::new(Algorithm::ES256);
        let token = signer.sign(None);
        let keys = [
            json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"}),
            json!({"kty": "EC", "crv": "P-256", "x": "!", "y": "?"}),
            json!({"kty": "EC", "crv": "P-256"}),
            json!({"kty": "RSA", "n": "", "e": ""}),
            json!("no key"),
            Signer::new(Algorithm::ES384).published(&json!({})),
            signer.published(&json!({})),
        ];
        assert!(is_valid(&keys, &token));
        assert_eq!(
            set(&keys[..6]).verify(&token, AUDIENCE),
            Err(TokenFault::Signature)
        );
    }

    #[test]
    fn a_key_is_usable_if_it_may_sign_tokens() {
        let signer = Signer::new(Algorithm::ES256);
        let is_usable = |key: Value| set(&[key]).has_usable_key();
        assert!(is_usable(signer.published(&json!({"kid": "a"}))));
        assert!(is_usable(signer.published(&json!({"alg": "ES256"}))));
        assert!(!is_usable(signer.published(&json!({"use": "enc"}))));
        assert!(!is_usable(signer.published(&json!({"alg": "RSA-OAEP"}))));
        assert!(!is_usable(Signer::new(Algorithm::HS256).public));
        let broken = json!({"kty": "EC", "crv": "P-256", "x": "!", "y": "?"});
        assert!(!is_usable(broken));
        assert!(!set(&[]).has_usable_key());
    }

    #[test]
    fn any_change_of_a_token_invalidates_it() {
        let signer = Signer::new(Algorithm::ES256);
        let keys = set(&[signer.published(&json!({}))]);
        let token = signer.sign(None);
        keys.verify(&token, AUDIENCE).unwrap();
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(keys.verify(&changed, AUDIENCE).is_err(), "letter {at}");
            assert!(keys.verify(&token[..at], AUDIENCE).is_err(), "cut at {at}");
        }
        assert!(keys.verify(&format!("{token}."), AUDIENCE).is_err());
    }

    #[test]
    fn malformed_key_sets_are_rejected() {
        for text in ["", "[]", "{}", r#"{"keys": {}}"#] {
            assert!(KeySet::parse(text.as_bytes()).is_none(), "{text}");
        }
        assert!(KeySet::parse(br#"{"keys": []}"#).is_some());
    }
}
