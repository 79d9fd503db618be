//! The key that signs tokens. It was generated for these tests and is used nowhere else.

use std::sync::LazyLock;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jsonwebtoken::EncodingKey;

/// The private key.
pub(crate) static PRIVATE: LazyLock<EncodingKey> = LazyLock::new(|| {
    let der = STANDARD.decode(PRIVATE_DER).expect("valid base64");
    EncodingKey::from_rsa_der(&der)
});

/// The modulus of the public key, in the encoding of key sets.
pub(crate) const MODULUS: &str = "\
    x9_tumglqQMe7UjFGUGYiY8gM5e87kABJHS-uFtvO8N3hoMjHImb2k_Nn1Wp7dhEMXOu-i-IEuTz9FL5qkPsuqf9\
    JCTwQVisqkmfngde6H5lKptdgjzj_NDGTzUaqNSN5bUlAxSzT2wIsM3aSn2Tv6uSyaNkd0bo7lCI0KzW6b89w-qy\
    u50QBli6SiYH7KateqyZQBBbNQhPJfTduWSz_mh3Bgd64oYAPz2zAp0u-9fEx1TRbSX_dKMpKwOg64JgqVgOkUmH\
    iCQPeaVJGhv9YFcZLFgo89KYQ5AWWYR2Cu1ysRjKe8JAhrxbKCg_tMu_UaTMoAO648r74WO2d2Q-pQ";

/// The exponent of the public key, in the encoding of key sets.
pub(crate) const EXPONENT: &str = "AQAB";

/// The private key in PKCS #1.
const PRIVATE_DER: &str = "\
    MIIEowIBAAKCAQEAx9/tumglqQMe7UjFGUGYiY8gM5e87kABJHS+uFtvO8N3hoMjHImb2k/Nn1Wp7dhEMXOu+i+I\
    EuTz9FL5qkPsuqf9JCTwQVisqkmfngde6H5lKptdgjzj/NDGTzUaqNSN5bUlAxSzT2wIsM3aSn2Tv6uSyaNkd0bo\
    7lCI0KzW6b89w+qyu50QBli6SiYH7KateqyZQBBbNQhPJfTduWSz/mh3Bgd64oYAPz2zAp0u+9fEx1TRbSX/dKMp\
    KwOg64JgqVgOkUmHiCQPeaVJGhv9YFcZLFgo89KYQ5AWWYR2Cu1ysRjKe8JAhrxbKCg/tMu/UaTMoAO648r74WO2\
    d2Q+pQIDAQABAoIBAA0Nq2jXjpFrk4G+KqckBk+s4gFp6RbAkIKJFaqUcsmFp2ueFV/dVH53ue9XE3Zl1SBLVJO2\
    ISN7bJDvOVXHbVwMXBHX+rvdzBsBR2l1REYX+R3vpctQvuKpijCtQGzjGChMF1sh5zWqPHq62u/Z+dlUSHge5xEL\
    d8DBUDTGpkYqJQgdJuhD5v1jLvuLVi1+HI0qfgELzhgeTuZquN5Jxs9ir6zdaVLa8uC+6xN++dL9Sl/4+rz/T4uZ\
    iVMegUfhe1UhRNyo1MED1Bk8gT94EFaF4nJorww2mGoPstzaDv0HM1bUcI4zhCan+wL1o1xCLUc5ln5aC4GAqu5t\
    g7yY7gkCgYEA7/K9gf/cWS+44nC1VaEnARso3t8GM56ALK7EFzDEaVdZ6EDEx2UHws+m2Ses9yn/GNI/ObB295kE\
    daZQl/OWcLS/JwEKuz1ghmlNdRllQ+MX45r2VQW47rgTZFDn1pJUhEksR/Ikoqavv9WBVsHlRx5qkKH3L4IcDPSl\
    I5zgdB0CgYEA1T7nzBwbMcOy0PjqxjZoXnTa1sMz0z9xBW2rCz87tP5SmuY7Tt2ZfYSJHq8Wjur8RdzUULoLSHXK\
    THaMj+BGdbpk6yLyibsH5MWFq4BwPOA6MRv7xDIbmToOboXc2Hd28O0bu7lqhCkkOjY6NmqbSzFJX6Yc+zeQu3Nv\
    I3jbXikCgYEAwFKO5NDgm7eteAogviax7agIRUL7ZIppb+cQkwnqlAiIrqijULLA2ru3nxy2/VDy/8EdHi87288R\
    DP+mX3TFo0asZCXopRVX9cQXaoFVcmlmL294e8NfbC+sk15pxMl65qED1hLWnGwAOEF4LsKw9CUEAzNevfyKYTQB\
    3R6TpV0CgYA49h6w1Okmt+GyFGuSGsJySMCUEXxsd0vXaV4BGRj31d925Pz+qg7wClEeUyKxdm+AseY80hVle6FY\
    H2qYnA32MJ34eVNUGxOWtnRoRVy1xieFKrZrx/67RVjJiRRe9jpdTNjVokejmeHFcurF0mA9C6NP221uZX9RsxoC\
    3aurUQKBgGQHRjqf4WDw2Z3eCH7UPdICYrumbR5PvH6ElkurgAjj3JzyKNgsv5AE0lKc+r7hy649xvTgU9z9lzdL\
    fnv3j5QRMwDj5oEI2kfECyGXUWci1sMPIsHbJK3TWD2Jajuz5bT2zuXHG26AXjlUGLVqwbQk8shXnF1UcttbG7Cw\
    lFm3";
