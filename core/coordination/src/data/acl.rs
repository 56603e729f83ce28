//! Access lists: what they allow, and which are well-formed.
//!
//! Schemes: `world` (only `anyone`), `digest` (`user:hash`), `ip` (`address` or `address/bits`),
//! and, in requests only, `auth`, which stands for every identity that its sender has
//! authenticated.

use super::auth::{Identity, SUPER};
use mailstorm_wire::client::{Acl, ErrorCode, permission};
use std::net::IpAddr;
use std::sync::Arc;

/// The most entries that an access list has, `auth` resolved. ZooKeeper has no bound but its
/// packets'. Higher: each access costs more, and making sure that no entry stands twice costs its
/// square.
pub const ACL_ENTRIES_MAX: usize = 1_000;

/// The most bytes that schemes and ids of an access list have together. Higher: a znode may become
/// too large for one piece of a snapshot.
pub const ACL_BYTES_MAX: usize = 1 << 20;

/// The list that lets everybody do everything.
pub fn open() -> Arc<[Acl]> {
    [Acl { permissions: permission::ALL, scheme: "world".into(), id: "anyone".into() }].into()
}

/// Whether these identities may do what `permission` says (any of its bits will do).
pub fn permits(acl: &[Acl], permission: i32, identities: &[Identity]) -> bool {
    acl.is_empty()
        || acl.iter().any(|entry| entry.permissions & permission != 0 && is_world(entry))
        || is_super(identities)
        || acl.iter().any(|entry| {
            entry.permissions & permission != 0
                && identities.iter().any(|identity| matches(entry, identity))
        })
}

/// Whether one of them is the super user, to whom no list applies.
pub fn is_super(identities: &[Identity]) -> bool {
    identities.iter().any(|(scheme, _)| &**scheme == SUPER)
}

/// The list as it is kept: duplicates gone (ZOOKEEPER-1877), `auth` replaced by the authenticated
/// identities of the one who asks.
///
/// # Errors
/// [`ErrorCode::InvalidAcl`] when it is empty, has a malformed entry or an unknown scheme, says
/// `auth` for somebody who has not authenticated, or is longer than [`ACL_ENTRIES_MAX`] or
/// [`ACL_BYTES_MAX`]. An `ip` identity does not count as authentication.
pub fn fix_up(acl: &[Acl], identities: &[Identity]) -> Result<Vec<Acl>, ErrorCode> {
    if acl.len() > ACL_ENTRIES_MAX {
        return Err(ErrorCode::InvalidAcl);
    }
    let mut fixed: Vec<Acl> = Vec::with_capacity(acl.len());
    for (index, entry) in acl.iter().enumerate() {
        if acl[..index].contains(entry) {
            continue;
        }
        if &*entry.scheme == "auth" {
            let before = fixed.len();
            fixed.extend(identities.iter().filter(|(scheme, _)| &**scheme == "digest").map(
                |(scheme, id)| Acl {
                    permissions: entry.permissions,
                    scheme: scheme.clone(),
                    id: id.clone(),
                },
            ));
            if fixed.len() == before {
                return Err(ErrorCode::InvalidAcl);
            }
        } else if is_well_formed(entry) {
            fixed.push(entry.clone());
        } else {
            return Err(ErrorCode::InvalidAcl);
        }
        // At once, not at the end: each `auth` entry adds all identities again.
        if fixed.len() > ACL_ENTRIES_MAX {
            return Err(ErrorCode::InvalidAcl);
        }
    }
    let bytes: usize = fixed.iter().map(|entry| entry.scheme.len() + entry.id.len()).sum();
    if fixed.is_empty() || bytes > ACL_BYTES_MAX {
        return Err(ErrorCode::InvalidAcl);
    }
    Ok(fixed)
}

/// The list as somebody sees it who may not change it: digests become `user:x`.
pub fn hide_digests(acl: &[Acl]) -> Vec<Acl> {
    let hide = |entry: &Acl| match entry.id.split_once(':') {
        Some((user, _)) if &*entry.scheme == "digest" => {
            Acl { id: format!("{user}:x").into(), ..entry.clone() }
        }
        _ => entry.clone(),
    };
    acl.iter().map(hide).collect()
}

fn is_world(entry: &Acl) -> bool {
    &*entry.scheme == "world" && &*entry.id == "anyone"
}

fn is_well_formed(entry: &Acl) -> bool {
    match &*entry.scheme {
        "world" => &*entry.id == "anyone",
        // Java's split drops empty parts at the end, hence: something on both sides of one colon.
        // The user may be empty.
        "digest" => entry
            .id
            .split_once(':')
            .is_some_and(|(_, hash)| !hash.is_empty() && !hash.contains(':')),
        "ip" => network(&entry.id).is_some(),
        _ => false,
    }
}

fn matches(entry: &Acl, (scheme, id): &Identity) -> bool {
    if entry.scheme != *scheme {
        return false;
    }
    match &**scheme {
        "ip" => {
            let (Some((network, bits)), Ok(address)) = (network(&entry.id), id.parse()) else {
                return false;
            };
            same_network(network, address, bits)
        }
        _ => entry.id == *id,
    }
}

/// The address and the number of leading bits that count.
fn network(text: &str) -> Option<(IpAddr, u32)> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let width = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.map_or(Some(width), |bits| bits.parse().ok())?;
    (bits <= width).then_some((address, bits))
}

fn same_network(left: IpAddr, right: IpAddr, bits: u32) -> bool {
    match (left, right) {
        (IpAddr::V4(left), IpAddr::V4(right)) => {
            (left.to_bits() ^ right.to_bits()).leading_zeros() >= bits
        }
        (IpAddr::V6(left), IpAddr::V6(right)) => {
            (left.to_bits() ^ right.to_bits()).leading_zeros() >= bits
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use permission::{ADMIN, ALL, READ, WRITE};

    fn entry(permissions: i32, text: &str) -> Acl {
        let (scheme, id) = text.split_once(':').unwrap();
        Acl { permissions, scheme: scheme.into(), id: id.into() }
    }

    fn who(texts: &[&str]) -> Vec<Identity> {
        texts
            .iter()
            .map(|text| text.split_once(':').unwrap())
            .map(|(s, i)| (s.into(), i.into()))
            .collect()
    }

    #[test]
    fn a_list_allows_what_one_of_its_entries_grants_to_one_of_the_identities() {
        let check = |permissions, list: &str, asked, identities: &[&str], expected: bool| {
            let found = permits(&[entry(permissions, list)], asked, &who(identities));
            assert_eq!(found, expected, "{list} {permissions} asked {asked} as {identities:?}");
        };
        check(READ, "world:anyone", READ, &[], true);
        check(READ, "world:anyone", WRITE, &[], false);
        check(READ, "world:anyone", READ | ADMIN, &[], true);
        check(ALL, "digest:a:h", WRITE, &["digest:a:h"], true);
        check(ALL, "digest:a:h", WRITE, &["digest:a:i", "ip:1.2.3.4"], false);
        check(READ, "digest:a:h", WRITE, &["super:"], true);
        check(ALL, "ip:10.1.0.0/16", READ, &["ip:10.1.200.3"], true);
        check(ALL, "ip:10.1.0.0/16", READ, &["ip:10.2.0.1"], false);
        check(ALL, "ip:10.1.0.1", READ, &["ip:10.1.0.1"], true);
        check(ALL, "ip:10.1.0.1", READ, &["ip:10.1.0.2"], false);
        check(ALL, "ip:0.0.0.0/0", READ, &["ip:::1"], false);
        check(ALL, "ip:fe80::/10", READ, &["ip:fe80::7"], true);
    }

    #[test]
    fn lists_are_fixed_up_or_refused() {
        let check = |list: &[&str], identities: &[&str], expected: Option<&[&str]>| {
            let list: Vec<_> = list.iter().map(|text| entry(ALL, text)).collect();
            let expected = expected
                .map(|texts| texts.iter().map(|text| entry(ALL, text)).collect::<Vec<_>>())
                .ok_or(ErrorCode::InvalidAcl);
            assert_eq!(fix_up(&list, &who(identities)), expected, "{list:?}");
        };
        check(&[], &[], None);
        check(&["world:anyone", "world:anyone"], &[], Some(&["world:anyone"]));
        check(&["world:nobody"], &[], None);
        check(&["auth:"], &["ip:1.1.1.1"], None);
        let both = ["digest:a:h", "digest:b:i"];
        check(&["auth:"], &["ip:1.1.1.1", both[0], both[1]], Some(&both));
        check(&["digest:a:h", "ip:1.2.3.4/8"], &[], Some(&["digest:a:h", "ip:1.2.3.4/8"]));
        for malformed in [
            "digest:a",
            "digest:a:",
            "digest:a:b:c",
            "ip:1.2.3",
            "ip:1.2.3.4/33",
            "ip:x/8",
            "ip:1.2.3.4/-1",
            "super:",
            "sasl:a",
            "nonsense:a",
        ] {
            check(&["world:anyone", malformed], &["digest:a:h"], None);
        }
    }

    #[test]
    fn a_list_that_is_too_long_or_becomes_so_is_refused() {
        let address = |n: usize| format!("ip:10.0.{}.{}", n / 256, n % 256);
        let mut list: Vec<Acl> = (0..ACL_ENTRIES_MAX).map(|n| entry(ALL, &address(n))).collect();
        assert_eq!(fix_up(&list, &[]).as_ref(), Ok(&list));
        list.push(entry(ALL, "world:anyone"));
        assert_eq!(fix_up(&list, &[]), Err(ErrorCode::InvalidAcl));
        let same = vec![entry(ALL, "world:anyone"); ACL_ENTRIES_MAX + 1];
        assert_eq!(fix_up(&same, &[]), Err(ErrorCode::InvalidAcl), "also of one and the same");

        let both = who(&["digest:a:h", "digest:b:i"]);
        let list: Vec<Acl> =
            (0..=ACL_ENTRIES_MAX as i32 / 2).map(|bits| entry(bits, "auth:")).collect();
        assert_eq!(fix_up(&list, &both), Err(ErrorCode::InvalidAcl));
        assert_eq!(fix_up(&list[1..], &both).map(|list| list.len()), Ok(ACL_ENTRIES_MAX));

        let long = |bytes: usize| [entry(ALL, &format!("digest:{}:h", "u".repeat(bytes)))];
        let around = "digest:h".len();
        assert!(fix_up(&long(ACL_BYTES_MAX - around), &[]).is_ok());
        assert_eq!(fix_up(&long(ACL_BYTES_MAX - around + 1), &[]), Err(ErrorCode::InvalidAcl));
    }

    #[test]
    fn digests_are_hidden_from_those_who_may_not_change_the_list() {
        let list = [entry(ALL, "digest:a:h"), entry(READ, "world:anyone"), entry(READ, "ip:::1")];
        let hidden = [entry(ALL, "digest:a:x"), entry(READ, "world:anyone"), entry(READ, "ip:::1")];
        assert_eq!(hide_digests(&list), hidden);
    }
}
