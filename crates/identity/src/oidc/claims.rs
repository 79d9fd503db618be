//! Reads the profile of a user from claims, and checks the requirements of the settings.

use serde_json::{Map, Value};
use usher_domain::{DisplayName, Email, external_login};

use super::settings::{ClaimsSource, EmailVerification, OidcSettings};
use crate::IdentifyError;

pub(super) type Claims = Map<String, Value>;

/// The claims of one sign-in.
#[derive(Debug)]
pub(super) struct Sources {
    /// The claims of the ID token.
    pub(super) id_token: Claims,
    /// The claims of the second source, if there is one.
    pub(super) secondary: Option<Claims>,
    /// The second source, which decides which claims take precedence.
    pub(super) source: ClaimsSource,
}

impl Sources {
    /// The claims of both sources.
    pub(super) fn merged(&self) -> Claims {
        let (mut merged, winner) = match (&self.secondary, self.source) {
            (None, _) => (Claims::new(), &self.id_token),
            (Some(secondary), ClaimsSource::AccessToken) => (secondary.clone(), &self.id_token),
            (Some(secondary), _) => (self.id_token.clone(), secondary),
        };
        merged.extend(winner.clone());
        merged
    }
}

/// The profile of a user.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Profile {
    pub(super) email: Email,
    pub(super) username: String,
    pub(super) name: DisplayName,
    pub(super) avatar_url: String,
}

/// Reads the claims. If several are invalid, the order of the checks decides which is reported.
pub(super) fn read(settings: &OidcSettings, sources: &Sources) -> Result<Profile, IdentifyError> {
    let merged = sources.merged();
    let username = string(&merged, &settings.username_field);
    let address = match merged.get(&settings.email_field) {
        Some(Value::String(address)) if address.is_empty() => {
            return Err(unusable(
                "The identity provider sent an empty e-mail address.",
            ));
        }
        Some(Value::String(address)) => address.as_str(),
        Some(_) => {
            return Err(unusable(
                "The identity provider sent an email claim that is not a string.",
            ));
        }
        None if external_login::address(username).is_some() => username,
        None => {
            return Err(unusable(
                "The identity provider did not send an e-mail address.",
            ));
        }
    };
    require_verification(settings, sources, &merged)?;
    let domain = address.rsplit_once('@').map(|(_, domain)| domain);
    if !settings.email_domain.is_empty()
        && !domain.is_some_and(|domain| settings.allows_domain(domain))
    {
        return Err(IdentifyError::AddressRefused(
            "E-mail addresses of this domain may not sign in.".to_owned(),
        ));
    }
    let email = external_login::address(address)
        .ok_or_else(|| unusable("The identity provider sent an invalid e-mail address."))?;
    require_group(settings, &merged)?;
    Ok(Profile {
        email,
        username: username.to_owned(),
        name: external_login::display_name(string(&merged, &settings.name_field)),
        avatar_url: string(&merged, "picture").to_owned(),
    })
}

/// The value of a string claim; other types count as missing.
fn string<'a>(claims: &'a Claims, name: &str) -> &'a str {
    claims.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn unusable(message: &str) -> IdentifyError {
    IdentifyError::Unusable {
        message: message.to_owned(),
        detail: None,
    }
}

fn require_verification(
    settings: &OidcSettings,
    sources: &Sources,
    merged: &Claims,
) -> Result<(), IdentifyError> {
    let verified = merged.get("email_verified");
    let is_rejected = match settings.email_verification {
        EmailVerification::IfPresent => verified.is_some_and(|value| *value != Value::Bool(true)),
        EmailVerification::Required => {
            verified != Some(&Value::Bool(true)) || !is_verified_by_its_source(settings, sources)
        }
        EmailVerification::Lax => verified == Some(&Value::Bool(false)),
        EmailVerification::Ignored => false,
    };
    if is_rejected {
        return Err(IdentifyError::AddressRefused(
            "Your e-mail address is not verified at the identity provider.".to_owned(),
        ));
    }
    Ok(())
}

/// Whether a source with this e-mail address also states that it is verified. The ID token cannot
/// verify a different address of the userinfo endpoint.
fn is_verified_by_its_source(settings: &OidcSettings, sources: &Sources) -> bool {
    let merged = sources.merged();
    // Without an email claim the address is the username, which is not verified.
    let Some(address) = merged.get(&settings.email_field) else {
        return false;
    };
    [Some(&sources.id_token), sources.secondary.as_ref()]
        .into_iter()
        .flatten()
        .filter(|claims| claims.get(&settings.email_field) == Some(address))
        .any(|claims| claims.get("email_verified") == Some(&Value::Bool(true)))
}

fn require_group(settings: &OidcSettings, merged: &Claims) -> Result<(), IdentifyError> {
    if settings.allowed_groups.is_empty() {
        return Ok(());
    }
    let allowed = settings.allowed_group_set();
    if groups(merged.get(&settings.group_field))?
        .iter()
        .any(|group| allowed.contains(group))
    {
        return Ok(());
    }
    Err(IdentifyError::NotInGroup(
        "Only members of certain groups may sign in.".to_owned(),
    ))
}

/// A string is one group. With a comma it is ambiguous, and so rejected.
fn groups(claim: Option<&Value>) -> Result<Vec<&str>, IdentifyError> {
    let malformed = |problem: &str| {
        IdentifyError::UnusableGroups(format!(
            "The identity provider sent an invalid group claim: {problem}."
        ))
    };
    match claim {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(text)) if text.is_empty() => Ok(Vec::new()),
        Some(Value::String(text)) if text.contains(',') => {
            Err(malformed("it must be a list, not a string with commas"))
        }
        Some(Value::String(text)) => Ok(vec![text.as_str()]),
        Some(Value::Array(all)) => all
            .iter()
            .map(|group| {
                group
                    .as_str()
                    .ok_or_else(|| malformed("each group must be a string"))
            })
            .collect(),
        Some(_) => Err(malformed("it must be a list of strings")),
    }
}

/// The claims without NUL, which Postgres cannot store.
pub(super) fn storable(claims: &Claims) -> Claims {
    claims
        .iter()
        .map(|(name, value)| (without_nul(name), storable_value(value)))
        .collect()
}

fn storable_value(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(without_nul(text)),
        Value::Array(all) => all.iter().map(storable_value).collect(),
        Value::Object(claims) => Value::Object(storable(claims)),
        other => other.clone(),
    }
}

fn without_nul(text: &str) -> String {
    text.replace('\0', "")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn settings() -> OidcSettings {
        OidcSettings::new(
            "https://id.example.com",
            "usher",
            "secret".into(),
            "https://usher.example.com/back".parse().unwrap(),
        )
    }

    fn claims(value: Value) -> Claims {
        serde_json::from_value(value).unwrap()
    }

    fn only(value: Value) -> Sources {
        Sources {
            id_token: claims(value),
            secondary: None,
            source: ClaimsSource::IdTokenOnly,
        }
    }

    fn with(source: ClaimsSource, id_token: Value, secondary: Value) -> Sources {
        Sources {
            id_token: claims(id_token),
            secondary: Some(claims(secondary)),
            source,
        }
    }

    fn address_of(settings: &OidcSettings, sources: &Sources) -> Result<String, IdentifyError> {
        read(settings, sources).map(|profile| profile.email.as_str().to_owned())
    }

    fn is_refused(result: &Result<String, IdentifyError>) -> bool {
        matches!(result, Err(IdentifyError::AddressRefused(_)))
    }

    fn is_unusable(result: &Result<String, IdentifyError>) -> bool {
        matches!(result, Err(IdentifyError::Unusable { .. }))
    }

    #[test]
    fn a_username_is_not_a_verified_email_address() {
        let sources = only(json!({
            "sub": "1", "preferred_username": "ann@example.com", "email_verified": true,
        }));
        let mut settings = settings();
        let address = address_of(&settings, &sources);
        assert_eq!(address.unwrap(), "ann@example.com");
        settings.email_verification = EmailVerification::Required;
        assert!(is_refused(&address_of(&settings, &sources)));
    }

    #[rstest]
    #[case::absent(None, [true, false, true, true])]
    #[case::yes(Some(json!(true)), [true, true, true, true])]
    #[case::no(Some(json!(false)), [false, false, false, true])]
    #[case::text_yes(Some(json!("true")), [false, false, true, true])]
    #[case::text_no(Some(json!("false")), [false, false, true, true])]
    #[case::one(Some(json!(1)), [false, false, true, true])]
    #[case::zero(Some(json!(0)), [false, false, true, true])]
    #[case::null(Some(json!(null)), [false, false, true, true])]
    #[case::list(Some(json!([])), [false, false, true, true])]
    #[case::object(Some(json!({})), [false, false, true, true])]
    fn verification(#[case] said: Option<Value>, #[case] passes: [bool; 4]) {
        let all = [
            EmailVerification::IfPresent,
            EmailVerification::Required,
            EmailVerification::Lax,
            EmailVerification::Ignored,
        ];
        for (email_verification, passes) in all.into_iter().zip(passes) {
            let settings = OidcSettings {
                email_verification,
                ..settings()
            };
            let mut claims = json!({"email": "ann@example.com"});
            if let Some(said) = &said {
                claims["email_verified"] = said.clone();
            }
            for sources in [
                only(claims.clone()),
                with(ClaimsSource::UserInfo, json!({}), claims.clone()),
            ] {
                let result = address_of(&settings, &sources);
                assert_eq!(result.is_ok(), passes, "{email_verification:?}: {result:?}");
                assert_eq!(is_refused(&result), !passes, "{result:?}");
            }
        }
    }

    #[test]
    fn one_source_does_not_verify_the_address_of_the_other() {
        let settings = OidcSettings {
            email_verification: EmailVerification::Required,
            ..settings()
        };
        let verified = json!({"email": "ann@example.com", "email_verified": true});
        let result = |secondary: Value| {
            let sources = with(ClaimsSource::UserInfo, verified.clone(), secondary);
            address_of(&settings, &sources)
        };
        assert!(is_refused(&result(json!({"email": "eve@example.com"}))));
        assert!(result(json!({"email": "ann@example.com"})).is_ok());
        assert!(result(json!({"name": "Ann"})).is_ok());
        assert!(is_refused(&result(json!({"email_verified": false}))));
    }

    #[test]
    fn a_username_may_be_the_email_address() {
        let result = |value: Value| address_of(&settings(), &only(value));
        assert_eq!(
            result(json!({"preferred_username": "ann@example.com"})).unwrap(),
            "ann@example.com"
        );
        for value in [
            json!({}),
            json!({"preferred_username": "ann"}),
            json!({"preferred_username": 5}),
            json!({"email": "", "preferred_username": "ann@example.com"}),
            json!({"email": 5, "preferred_username": "ann@example.com"}),
            json!({"email": null, "preferred_username": "ann@example.com"}),
            json!({"email": ["ann@example.com"]}),
        ] {
            assert!(is_unusable(&result(value.clone())), "{value}");
        }
    }

    #[rstest]
    #[case("ann@corp.com", true)]
    #[case("ANN@Corp.COM", true)]
    #[case("ann@mail.example", true)]
    #[case("ann@evilcorp.com", false)]
    #[case("ann@corp.com.evil.io", false)]
    #[case("ann@sub.corp.com", false)]
    #[case("ann@corp.co", false)]
    #[case("ann@com", false)]
    #[case("corp.com", false)]
    #[case("ann@corp.com@evil.io", false)]
    fn domains_are_compared_exactly(#[case] address: &str, #[case] passes: bool) {
        let settings = OidcSettings {
            email_domain: vec!["Corp.com".to_owned(), "@mail.example".to_owned()],
            ..settings()
        }
        .checked()
        .unwrap();
        let result = address_of(&settings, &only(json!({"email": address})));
        assert_eq!(result.is_ok(), passes, "{result:?}");
        assert_eq!(is_refused(&result), !passes, "{result:?}");
    }

    #[rstest]
    #[case("a@evil.io@corp.com")]
    #[case("\"a@evil.io\"@corp.com")]
    #[case("@corp.com")]
    #[case("a b@corp.com")]
    #[case("a@evil.io\r\n@corp.com")]
    #[case("a\0@corp.com")]
    fn an_email_address_of_an_allowed_domain_must_be_valid(#[case] address: &str) {
        let settings = OidcSettings {
            email_domain: vec!["corp.com".to_owned()],
            ..settings()
        };
        let result = address_of(&settings, &only(json!({"email": address})));
        assert!(is_unusable(&result), "{result:?}");
    }

    #[test]
    fn the_first_of_several_errors_is_reported() {
        let settings = OidcSettings {
            email_domain: vec!["corp.com".to_owned()],
            group_field: "groups".to_owned(),
            allowed_groups: vec!["staff".to_owned()],
            ..settings()
        };
        let result = |value: Value| read(&settings, &only(value)).unwrap_err();
        let text = |error: IdentifyError| error.to_string();
        let everything = json!({"email": 5, "email_verified": false, "groups": 5});
        assert!(text(result(everything)).contains("not a string"));
        let unverified = json!({"email": "a@b.example", "email_verified": false, "groups": 5});
        assert!(text(result(unverified)).contains("verified"));
        let elsewhere = json!({"email": "a@b.example", "groups": 5});
        assert!(text(result(elsewhere)).contains("domain"));
        assert!(matches!(
            result(json!({"email": "a@corp.com", "groups": 5})),
            IdentifyError::UnusableGroups(_)
        ));
    }

    #[rstest]
    #[case::none(None, false)]
    #[case::null(Some(json!(null)), false)]
    #[case::others(Some(json!(["guests"])), false)]
    #[case::empty(Some(json!([])), false)]
    #[case::empty_text(Some(json!("")), false)]
    #[case::capitals(Some(json!(["Staff"])), false)]
    #[case::text_of_another(Some(json!("guests")), false)]
    #[case::one_of_two(Some(json!(["guests", "staff"])), true)]
    #[case::text(Some(json!("admins")), true)]
    fn a_member_of_an_allowed_group_may_sign_in(
        #[case] groups: Option<Value>,
        #[case] passes: bool,
    ) {
        let result = read(&with_groups(), &only(user(groups)));
        assert_eq!(result.is_ok(), passes, "{result:?}");
        let is_refused = matches!(result, Err(IdentifyError::NotInGroup(_)));
        assert_eq!(is_refused, !passes, "{result:?}");
    }

    #[rstest]
    #[case::number(json!(5))]
    #[case::object(json!({"staff": true}))]
    #[case::commas(json!("staff,guests"))]
    #[case::mixed(json!(["staff", 5]))]
    fn groups_of_another_type_are_rejected(#[case] groups: Value) {
        let result = read(&with_groups(), &only(user(Some(groups))));
        let is_malformed = matches!(result, Err(IdentifyError::UnusableGroups(_)));
        assert!(is_malformed, "{result:?}");
    }

    fn with_groups() -> OidcSettings {
        OidcSettings {
            group_field: "groups".to_owned(),
            allowed_groups: vec!["admins".to_owned(), "staff".to_owned()],
            ..settings()
        }
    }

    fn user(groups: Option<Value>) -> Value {
        let mut user = json!({"email": "quin@example.com"});
        if let Some(groups) = groups {
            user["groups"] = groups;
        }
        user
    }

    #[test]
    fn groups_are_not_checked_without_allowed_groups() {
        let result = read(&settings(), &only(user(Some(json!(5)))));
        assert!(result.is_ok(), "{result:?}");
    }

    #[test]
    fn claims_of_another_type_count_as_missing() {
        let odd =
            json!({"email": "n@example.com", "preferred_username": 5, "name": 7, "picture": true});
        let profile = read(&settings(), &only(odd)).unwrap();
        assert_eq!(profile.username, "");
        assert_eq!(profile.name.as_str(), "");
        assert_eq!(profile.avatar_url, "");
    }

    #[test]
    fn empty_values_take_precedence_too() {
        let token = json!({"email": "a@example.com", "name": "Token", "nick": "n"});
        let other = json!({"name": "", "picture": "p"});
        let merged = |source| {
            let sources = with(source, token.clone(), other.clone());
            Value::Object(sources.merged())
        };
        assert_eq!(
            merged(ClaimsSource::UserInfo),
            json!({"email": "a@example.com", "name": "", "nick": "n", "picture": "p"})
        );
        assert_eq!(
            merged(ClaimsSource::AccessToken),
            json!({"email": "a@example.com", "name": "Token", "nick": "n", "picture": "p"})
        );
    }

    #[test]
    fn stored_claims_contain_no_nul() {
        let odd = claims(json!({"a\0": ["b\0", {"c\0": "d\0"}], "n": 1}));
        assert_eq!(
            Value::Object(storable(&odd)),
            json!({"a": ["b", {"c": "d"}], "n": 1})
        );
    }
}
