//! Who a client has proved to be.
//!
//! Identities are pairs of scheme and id. Every connection has the `ip` identity of its address
//! from the start; a successful [`authenticate`] adds more. What an identity may do is
//! [`super::acl`]'s.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use mailstorm_wire::client::ErrorCode;
use sha1::{Digest as _, Sha1};
use std::net::IpAddr;
use std::sync::Arc;

/// A scheme and an id in the scheme's own form.
pub type Identity = (Arc<str>, Arc<str>);

/// Who may do everything; never in an access list.
pub const SUPER: &str = "super";

/// The identity that a connection has by its address alone.
pub fn address_identity(address: IpAddr) -> Identity {
    ("ip".into(), address.to_canonical().to_string().into())
}

/// The identities that these credentials prove.
///
/// `digest` takes `user:password`; whoever's digest is the configured `super_digest` becomes
/// [`SUPER`] as well. `ip` proves what is known already. As in ZooKeeper, a user without a password
/// (no colon) is a user like any other.
///
/// # Errors
/// [`ErrorCode::AuthFailed`] for any other scheme, and for credentials that are not UTF-8:
/// ZooKeeper would replace what it cannot read, and take different passwords for the same.
pub fn authenticate(
    scheme: &str,
    credentials: &[u8],
    address: IpAddr,
    super_digest: Option<&str>,
) -> Result<Vec<Identity>, ErrorCode> {
    match scheme {
        "ip" => Ok(vec![address_identity(address)]),
        "digest" => {
            let credentials =
                std::str::from_utf8(credentials).map_err(|_| ErrorCode::AuthFailed)?;
            let digest = digest(credentials);
            let mut identities = Vec::with_capacity(2);
            if super_digest == Some(digest.as_str()) {
                identities.push((SUPER.into(), "".into()));
            }
            identities.push(("digest".into(), digest.into()));
            Ok(identities)
        }
        _ => Err(ErrorCode::AuthFailed),
    }
}

/// The identities as `whoAmI` tells them: of a digest only the user (`AuthUtil.getClientInfos`).
pub fn shown(identities: &[Identity]) -> Vec<Identity> {
    let show = |(scheme, id): &Identity| match id.split_once(':') {
        Some((user, _)) if &**scheme == "digest" => (scheme.clone(), user.into()),
        _ => (scheme.clone(), id.clone()),
    };
    identities.iter().map(show).collect()
}

/// What stands in access lists for `user:password`: `user:base64(sha1(user:password))`.
pub fn digest(credentials: &str) -> String {
    let user = credentials.split(':').next().unwrap_or_default();
    format!("{user}:{}", BASE64.encode(Sha1::digest(credentials.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn a_digest_is_the_one_zookeeper_computes() {
        // `DigestAuthenticationProvider.generateDigest("super:test")`, known from its
        // documentation.
        assert_eq!(digest("super:test"), "super:D/InIHSb7yEEbrWz8b9l71RjZJU=");
    }

    #[test]
    fn credentials_prove_identities() {
        let check = |scheme, credentials: &[u8], expected: Result<&[(&str, &str)], ErrorCode>| {
            let found =
                authenticate(scheme, credentials, HOME, Some("super:D/InIHSb7yEEbrWz8b9l71RjZJU="));
            let expected = expected.map(|pairs| {
                pairs.iter().map(|(s, i)| (Arc::from(*s), Arc::from(*i))).collect::<Vec<Identity>>()
            });
            assert_eq!(found, expected, "{scheme} {credentials:?}");
        };
        check("ip", b"", Ok(&[("ip", "127.0.0.1")]));
        let both: &[_] = &[("super", ""), ("digest", "super:D/InIHSb7yEEbrWz8b9l71RjZJU=")];
        check("digest", b"super:test", Ok(both));
        check("digest", b"a:b", Ok(&[("digest", &digest("a:b"))]));
        check("digest", b"\xff", Err(ErrorCode::AuthFailed));
        check("world", b"anyone", Err(ErrorCode::AuthFailed));
        check("sasl", b"", Err(ErrorCode::AuthFailed));
    }

    #[test]
    fn an_ipv4_address_looks_the_same_through_an_ipv6_socket() {
        let mapped = IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped());
        assert_eq!(address_identity(mapped), address_identity(HOME));
        assert_eq!(&*address_identity(IpAddr::V6(Ipv6Addr::LOCALHOST)).1, "::1");
    }
}
