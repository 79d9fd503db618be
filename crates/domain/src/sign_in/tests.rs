use proptest::{prelude::*, sample::select};

use super::*;
use crate::{
    Email,
    testing::{identity, user},
};

const ANYTHING: SignInPolicy = SignInPolicy {
    match_by_email: true,
    allow_sign_up: true,
};
const LINKED_ONLY: SignInPolicy = SignInPolicy {
    match_by_email: false,
    allow_sign_up: false,
};

fn matched(login_type: LoginType, link_id: Option<&str>) -> MatchedUser {
    MatchedUser {
        user: User {
            login_type,
            ..user("ada")
        },
        link_id: link_id.map(str::to_owned),
        github_com_user_id: None,
        is_email_taken: false,
    }
}

fn hash(text: &str) -> PasswordHash {
    PasswordHash::from_stored(text.to_owned())
}

fn account(user: User) -> PasswordAccount {
    PasswordAccount {
        user,
        password: hash("stored"),
        passcode: None,
    }
}

fn usernames(names: &[&str]) -> Vec<Username> {
    let names = names.iter().map(|name| (*name).to_owned());
    names.map(Username::from_stored).collect()
}

#[test]
fn a_linked_user_signs_in_under_any_policy_and_with_any_email_address() {
    let mut ada = identity(LoginType::Oidc, "id||ada");
    let user = matched(LoginType::Oidc, Some("id||ada"));
    let signed_in = Ok(SignIn {
        activates_user: false,
    });
    assert_eq!(sign_in(&ada, LINKED_ONLY, &user), signed_in);
    ada.email = Email::from_stored("ada@other.example".to_owned());
    assert_eq!(sign_in(&ada, LINKED_ONLY, &user), signed_in);
}

#[test]
fn a_user_without_a_link_is_matched_by_email_only_if_the_policy_allows_it() {
    let ada = identity(LoginType::Oidc, "id||ada");
    for link_id in [None, Some("")] {
        let user = matched(LoginType::Oidc, link_id);
        assert!(sign_in(&ada, ANYTHING, &user).is_ok());
        assert_eq!(
            sign_in(&ada, LINKED_ONLY, &user),
            Err(SignInRejection::OtherAccount)
        );
    }
}

#[test]
fn email_addresses_match_without_regard_to_case_in_ascii_only() {
    let with_email = |email: &str| ExternalIdentity {
        email: Email::from_stored(email.to_owned()),
        ..identity(LoginType::Oidc, "id||ken")
    };
    let mut ken = matched(LoginType::Oidc, None);
    ken.user.email = Email::from_stored("ken@example.com".to_owned());
    assert!(sign_in(&with_email("KEN@Example.com"), ANYTHING, &ken).is_ok());
    // The Kelvin sign, which lower-cases to `k`.
    assert_eq!(
        sign_in(&with_email("\u{212a}en@example.com"), ANYTHING, &ken),
        Err(SignInRejection::OtherAccount)
    );
}

#[test]
fn a_user_with_another_link_or_login_type_is_rejected() {
    let ada = identity(LoginType::Oidc, "id||ada");
    for (user, expected) in [
        (
            matched(LoginType::Oidc, Some("id||other")),
            SignInRejection::OtherAccount,
        ),
        (
            matched(LoginType::Password, None),
            SignInRejection::OtherLoginType(LoginType::Password),
        ),
        (
            matched(LoginType::Github, Some("id||ada")),
            SignInRejection::OtherLoginType(LoginType::Github),
        ),
    ] {
        assert_eq!(sign_in(&ada, ANYTHING, &user), Err(expected));
    }
}

#[test]
fn a_number_of_another_github_server_is_another_account() {
    let at = |github_com_user_id, link_id: &str| ExternalIdentity {
        github_com_user_id,
        ..identity(LoginType::Github, link_id)
    };
    let known = |link_id| MatchedUser {
        github_com_user_id: Some(12),
        ..matched(LoginType::Github, Some(link_id))
    };
    let is_rejected =
        |identity, user| sign_in(&identity, ANYTHING, &user) == Err(SignInRejection::OtherAccount);
    assert!(!is_rejected(at(Some(12), "12"), known("12")));
    assert!(is_rejected(at(Some(13), "12"), known("12")));
    // The identity is of a GitHub Enterprise server.
    assert!(is_rejected(at(None, "12"), known("12")));
    assert!(!is_rejected(at(None, "7"), known("7")));
    let oidc = MatchedUser {
        github_com_user_id: Some(12),
        ..matched(LoginType::Oidc, Some("12"))
    };
    assert!(!is_rejected(identity(LoginType::Oidc, "12"), oidc));
}

#[test]
fn a_sign_in_activates_a_dormant_user_and_rejects_a_suspended_one() {
    let ada = identity(LoginType::Oidc, "id||ada");
    for (status, expected) in [
        (UserStatus::Active, Ok(false)),
        (UserStatus::Dormant, Ok(true)),
        (UserStatus::Suspended, Err(SignInRejection::Suspended)),
    ] {
        let mut user = matched(LoginType::Oidc, Some("id||ada"));
        user.user.status = status;
        let outcome = sign_in(&ada, ANYTHING, &user);
        assert_eq!(outcome.map(|it| it.activates_user), expected);
        // The status is checked before the e-mail address.
        user.is_email_taken = true;
        let expected = expected.and(Err(SignInRejection::EmailTaken));
        assert_eq!(sign_in(&ada, ANYTHING, &user), expected);
    }
}

#[test]
fn the_first_user_signs_up_in_any_case_and_is_an_owner() {
    let wanted = usernames(&["ada"]);
    for (has_users, policy, expected) in [
        (false, LINKED_ONLY, Ok(vec![SiteRole::Owner])),
        (false, ANYTHING, Ok(vec![SiteRole::Owner])),
        (true, ANYTHING, Ok(vec![])),
        (true, LINKED_ONLY, Err(SignInRejection::SignUpDisabled)),
    ] {
        let facts = SignUpFacts {
            has_users,
            taken_usernames: Vec::new(),
        };
        let decision = sign_up(policy, &wanted, &facts);
        assert_eq!(decision.map(|it| it.roles), expected);
    }
}

#[test]
fn a_sign_up_takes_the_first_free_username() {
    let wanted = usernames(&["ada", "ada-1", "ada-2"]);
    let decide = |taken: &[&str]| {
        let facts = SignUpFacts {
            has_users: true,
            taken_usernames: usernames(taken),
        };
        sign_up(ANYTHING, &wanted, &facts).map(|it| it.username.as_str().to_owned())
    };
    assert_eq!(decide(&[]), Ok("ada".to_owned()));
    assert_eq!(decide(&["ada"]), Ok("ada-1".to_owned()));
    assert_eq!(decide(&["ada-1", "ada"]), Ok("ada-2".to_owned()));
    assert_eq!(
        decide(&["ada", "ada-1", "ada-2"]),
        Err(SignInRejection::UsernamesTaken)
    );
}

#[test]
fn a_conversion_needs_the_checked_password_and_a_free_account() {
    type Case = (fn(&mut ConversionFacts), SignInRejection);
    let ada = identity(LoginType::Oidc, "id||ada");
    let checked = hash("stored").fingerprint();
    let facts = || ConversionFacts {
        account: account(user("ada")),
        is_account_of_another: false,
        link_id: None,
        is_email_taken: false,
    };
    let changed = |change: fn(&mut ConversionFacts)| {
        let mut facts = facts();
        change(&mut facts);
        convert(&ada, &checked, &facts)
    };
    assert!(changed(|_| ()).is_ok());
    assert!(changed(|it| it.link_id = Some(String::new())).is_ok());
    assert!(changed(|it| it.link_id = Some("id||ada".to_owned())).is_ok());
    assert_eq!(
        changed(|it| it.account.user.status = UserStatus::Dormant),
        Ok(SignIn {
            activates_user: true
        })
    );
    let cases: [Case; 6] = [
        (
            |it| it.account.user.login_type = LoginType::Oidc,
            SignInRejection::OtherLoginType(LoginType::Oidc),
        ),
        (
            |it| it.account.password = PasswordHash::from_stored("newer".to_owned()),
            SignInRejection::PasswordChanged,
        ),
        (
            |it| it.is_account_of_another = true,
            SignInRejection::OtherAccount,
        ),
        (
            |it| it.link_id = Some("id||before".to_owned()),
            SignInRejection::OtherAccount,
        ),
        (
            |it| it.account.user.status = UserStatus::Suspended,
            SignInRejection::Suspended,
        ),
        (|it| it.is_email_taken = true, SignInRejection::EmailTaken),
    ];
    for (change, expected) in cases {
        assert_eq!(changed(change), Err(expected));
    }
}

#[test]
fn a_password_sign_in_needs_the_checked_hash_and_a_user_that_may_sign_in() {
    let changed = |change: fn(&mut PasswordAccount)| {
        let mut account = account(user("ada"));
        change(&mut account);
        password_sign_in(&account, &hash("stored")).map(|it| it.activates_user)
    };
    assert_eq!(changed(|_| ()), Some(false));
    assert_eq!(
        changed(|it| it.user.status = UserStatus::Dormant),
        Some(true)
    );
    let rejected: [fn(&mut PasswordAccount); 3] = [
        |it| it.user.status = UserStatus::Suspended,
        |it| it.user.is_deleted = true,
        |it| it.password = PasswordHash::from_stored("newer".to_owned()),
    ];
    for change in rejected {
        assert_eq!(changed(change), None);
    }
}

prop_compose! {
    fn matched_users()(
        login_type in select(&LoginType::ALL[..]),
        status in select(&UserStatus::ALL[..]),
        link_id in select(&[None, Some(""), Some("12"), Some("34")][..]),
        github_com_user_id in select(&[None, Some(12), Some(34)][..]),
        email in select(&["ada@example.com", "ADA@example.com", "eve@example.com"][..]),
        is_email_taken: bool,
    ) -> MatchedUser {
        let mut matched = matched(login_type, link_id);
        matched.user.status = status;
        matched.user.email = Email::from_stored(email.to_owned());
        MatchedUser { github_com_user_id, is_email_taken, ..matched }
    }
}

proptest! {
    /// No account is taken over: the user either has the link, or has no link and the e-mail
    /// address that the provider reports.
    #[test]
    fn a_sign_in_never_reaches_a_user_of_another_account(
        user in matched_users(),
        match_by_email: bool,
        login_type in select(&[LoginType::Github, LoginType::Oidc][..]),
    ) {
        let policy = SignInPolicy { match_by_email, allow_sign_up: true };
        let identity = identity(login_type, "12");
        if let Ok(decision) = sign_in(&identity, policy, &user) {
            let is_linked = user.link_id.as_deref() == Some("12");
            let is_unlinked = user.link_id.as_deref().unwrap_or_default().is_empty();
            let has_email = user.user.email.as_str().to_lowercase() == "ada@example.com";
            prop_assert!(is_linked || is_unlinked && match_by_email && has_email);
            prop_assert_eq!(user.user.login_type, login_type);
            prop_assert_ne!(user.user.status, UserStatus::Suspended);
            prop_assert!(!user.is_email_taken);
            prop_assert_eq!(decision.activates_user, user.user.status == UserStatus::Dormant);
        }
    }

    /// A policy that matches less never lets more accounts sign in.
    #[test]
    fn matching_by_email_only_adds_sign_ins(user in matched_users()) {
        let identity = identity(LoginType::Oidc, "12");
        let strict = sign_in(&identity, LINKED_ONLY, &user);
        if strict.is_ok() {
            prop_assert_eq!(sign_in(&identity, ANYTHING, &user), strict);
        }
    }
}
