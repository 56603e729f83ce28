//! What an identity is called in access lists.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha1::{Digest as _, Sha1};

/// The id that credentials `user:password` prove under the scheme `digest`: the user, and of the
/// whole its digest, `user:base64(sha1(user:password))`.
pub fn digest_id(credentials: &[u8]) -> String {
    let user = credentials.split(|byte| *byte == b':').next().unwrap_or_default();
    format!("{}:{}", String::from_utf8_lossy(user), BASE64.encode(Sha1::digest(credentials)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_the_one_that_zookeeper_documents() {
        // In its documentation of `DigestAuthenticationProvider.superDigest`.
        assert_eq!(digest_id(b"super:test"), "super:D/InIHSb7yEEbrWz8b9l71RjZJU=");
        assert_eq!(digest_id(b"nobody").split(':').next(), Some("nobody"));
    }
}
