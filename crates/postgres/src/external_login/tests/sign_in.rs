use serde_json::json;
use usher_domain::UserStatus;
use usher_store::UserStore;

use super::*;

#[tokio::test]
async fn a_linked_user_signs_in_and_gets_the_providers_profile() {
    let store = TestStore::new().await;
    store.add_owner("owner").await;
    let (ada, _) = signed_in(&store, request(identity("ada"))).await;
    let before = store.audit().await.len();
    let later = now() + TimeDelta::hours(2);
    let mut changed = identity("ada");
    changed.email = Email::from_stored("Lovelace@Other.example".to_owned());
    changed.username = "countess".to_owned();
    changed.name = DisplayName::default();
    changed.avatar_url = String::new();
    changed.tokens.refresh_token = None;
    changed.tokens.expires_at = None;
    changed.claims.merged = json!({"sub": "ada", "n": 2});
    let sign_in = request(changed);
    let by = callback().at(later);

    let outcome = ExternalLoginStore::sign_in(&*store, sign_in.clone(), &by).await;

    let SignInOutcome::SignedIn { user, is_new } = outcome.unwrap() else {
        panic!("refused");
    };
    assert!(!is_new);
    assert_eq!(user.id, ada.id);
    assert_eq!(user.username.as_str(), "ada");
    assert_eq!(user.email.as_str(), "Lovelace@Other.example");
    assert_eq!((user.name.as_str(), user.avatar_url.as_str()), ("", ""));
    assert_eq!((user.created_at, user.updated_at), (now(), later));
    let link = link_of(&store, ada.id).await;
    assert_eq!(shown(&link.tokens), ("access ada".to_owned(), None));
    assert_eq!(link.tokens.expires_at, None);
    let claims = store
        .value("SELECT claims -> 'merged' ->> 'n' FROM user_links")
        .await;
    assert_eq!(claims, "2");
    assert_eq!(store.keys_of(ada.id).await.len(), 2);
    let rows = store.audit().await.split_off(before);
    assert_eq!(actions(&rows), ["write", "login"]);
    assert_eq!(rows[0]["resource_type"], "user");
    assert_eq!(rows[0]["resource_target"], "ada");
    assert_eq!(
        rows[0]["diff"],
        json!({
            "email": {"old": "ada@example.com", "new": "Lovelace@Other.example", "secret": false},
            "name": {"old": "ada of ID", "new": "", "secret": false},
        })
    );
    assert_eq!(rows[1]["resource_type"], "api_key");
    assert_eq!(rows[1]["diff"], json!({}));
    for row in &rows {
        assert_eq!(row["user_id"], ada.id.to_string());
        assert_eq!(row["resource_id"], ada.id.to_string());
        assert_eq!(row["status_code"], 307);
    }
}

#[tokio::test]
async fn a_sign_in_with_an_unchanged_profile_audits_only_the_sign_in() {
    let store = TestStore::new().await;
    let (ada, _) = signed_in(&store, request(identity("ada"))).await;
    let before = store.audit().await.len();
    let by = callback().at(now() + TimeDelta::hours(2));

    let again = ExternalLoginStore::sign_in(&*store, request(identity("ada")), &by).await;

    assert!(matches!(again.unwrap(), SignInOutcome::SignedIn { user, .. } if *user == ada));
    let rows = store.audit().await.split_off(before);
    assert_eq!(actions(&rows), ["login"]);
}

#[tokio::test]
async fn a_user_without_a_link_is_matched_by_email_address_and_activated() {
    let store = TestStore::new().await;
    store.add_owner("owner").await;
    let (status, login_type) = (UserStatus::Dormant, LoginType::Oidc);
    let email = Email::from_stored("ADA@example.com".to_owned());
    let waiting = NewUser {
        status,
        login_type,
        email,
        ..user("countess")
    };
    let waiting = store.add(waiting).await;
    let before = store.audit().await.len();

    let (ada, is_new) = signed_in(&store, request(identity("ada"))).await;

    assert!(!is_new);
    assert_eq!(ada.id, waiting.id);
    assert_eq!(ada.username.as_str(), "countess");
    assert_eq!(ada.email.as_str(), "ada@example.com");
    assert_eq!(ada.status, UserStatus::Active);
    assert_eq!(
        link_of(&store, ada.id).await.link_id,
        "https://id.example||ada"
    );
    let rows = store.audit().await.split_off(before);
    assert_eq!(actions(&rows), ["write", "write", "login"]);
    assert_eq!(
        rows[0]["diff"],
        json!({"status": {"old": "dormant", "new": "active", "secret": false}})
    );
    assert_eq!(
        rows[0]["additional_fields"],
        json!({"automatic_actor": "coder", "automatic_subsystem": "dormancy"})
    );
    assert_eq!(rows[0]["status_code"], 307);
    assert_eq!(rows[0]["ip"], "192.0.2.7");
    assert_eq!(rows[0]["user_id"], ada.id.to_string());
    let times: Vec<_> = rows.iter().map(|row| row["time"].to_string()).collect();
    assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
}

#[tokio::test]
async fn an_old_link_without_an_account_counts_as_no_link() {
    let store = TestStore::new().await;
    let ada = add_expected(&store, "ada").await;
    store
        .sql(
            "INSERT INTO user_links (user_id, login_type, oauth_access_token, oauth_refresh_token)
              SELECT id, 'oidc', 'old', 'older' FROM users WHERE username = 'ada'",
        )
        .await;
    let old = link_of(&store, ada.id).await;
    assert_eq!(old.link_id, "");
    let plain = ("old".to_owned(), Some("older".to_owned()));
    assert_eq!(shown(&old.tokens), plain);

    let (user, _) = signed_in(&store, request(identity("ada"))).await;

    assert_eq!(user.id, ada.id);
    let link = link_of(&store, ada.id).await;
    assert_eq!(link.link_id, "https://id.example||ada");
    assert_eq!(shown(&link.tokens).0, "access ada");
}

/// For providers that report unverified e-mail addresses.
#[tokio::test]
async fn a_policy_without_matching_by_email_rejects_users_without_a_link() {
    let store = TestStore::new().await;
    store.add_owner("owner").await;
    let ada = add_expected(&store, "ada").await;
    add_expected(&store, "ken").await;
    store
        .sql("INSERT INTO user_links (user_id, login_type) SELECT id, 'oidc' FROM users WHERE username = 'ken'")
        .await;
    let unclaiming = |name| ExternalSignIn {
        policy: SignInPolicy {
            match_by_email: false,
            ..POLICY
        },
        ..request(identity(name))
    };
    let before = everything(&store).await;

    for name in ["ada", "ken"] {
        let outcome = outcome_of(&store, unclaiming(name)).await;
        assert_eq!(
            outcome,
            SignInOutcome::Rejected(SignInRejection::OtherAccount),
            "{name}"
        );
    }
    // Most databases lower-case the Kelvin sign to `k`, but it is another mailbox.
    let mut kelvin = identity("ken");
    kelvin.email = Email::from_stored("\u{212a}en@example.com".to_owned());
    if store.value("SELECT lower('\u{212a}') = 'k'").await == "t" {
        let outcome = outcome_of(&store, request(kelvin)).await;
        assert_eq!(
            outcome,
            SignInOutcome::Rejected(SignInRejection::OtherAccount)
        );
    }
    assert_eq!(everything(&store).await, before);

    // Linked users and new users still sign in.
    signed_in(&store, request(identity("ada"))).await;
    assert_eq!(signed_in(&store, unclaiming("ada")).await.0.id, ada.id);
    let mut moved = unclaiming("ada");
    moved.identity.email = Email::from_stored("ada@example.org".to_owned());
    assert_eq!(signed_in(&store, moved).await.0.id, ada.id);
    assert!(signed_in(&store, unclaiming("eve")).await.1);
}

#[tokio::test]
async fn a_rejected_sign_in_changes_nothing() {
    let store = TestStore::new().await;
    store.add_user("pat").await;
    let eve = add_expected(&store, "eve").await;
    signed_in(&store, request(identity("ada"))).await;
    signed_in(&store, request(identity("sue"))).await;
    store
        .sql(&format!(
            "UPDATE users SET status = 'suspended' WHERE username = 'sue';
             INSERT INTO user_links (user_id, login_type, linked_id)
             SELECT id, 'oidc', 'https://id.example||linked' FROM users WHERE username = 'pat';
             UPDATE users SET status = 'dormant' WHERE id = '{}'",
            eve.id
        ))
        .await;
    let with = |name: &str, change: fn(&mut ExternalIdentity)| {
        let mut identity = identity(name);
        change(&mut identity);
        request(identity)
    };
    let cases = [
        // Matched by e-mail address, by link, and a system account.
        (
            with("pat", |_| ()),
            SignInOutcome::Rejected(SignInRejection::OtherLoginType(LoginType::Password)),
        ),
        (
            with("linked", |_| ()),
            SignInOutcome::Rejected(SignInRejection::OtherLoginType(LoginType::Password)),
        ),
        (
            with("eve", |it| it.login_type = LoginType::Github),
            SignInOutcome::Rejected(SignInRejection::OtherLoginType(LoginType::Oidc)),
        ),
        (
            with("x", |it| {
                it.email = Email::from_stored("prebuilds@system".to_owned());
            }),
            SignInOutcome::Rejected(SignInRejection::OtherLoginType(LoginType::None)),
        ),
        (
            with("ada", |it| it.link_id = "https://id.example||2".to_owned()),
            SignInOutcome::Rejected(SignInRejection::OtherAccount),
        ),
        (
            with("ada", |it| {
                it.link_id = "https://other.example||ada".to_owned();
            }),
            SignInOutcome::Rejected(SignInRejection::OtherAccount),
        ),
        (
            with("sue", |_| ()),
            SignInOutcome::Rejected(SignInRejection::Suspended),
        ),
        (
            with("ada", |it| {
                it.email = Email::from_stored("PAT@example.com".to_owned());
            }),
            SignInOutcome::Rejected(SignInRejection::EmailTaken),
        ),
    ];
    let before = everything(&store).await;

    for (sign_in, expected) in cases {
        let who = sign_in.identity.clone();
        assert_eq!(outcome_of(&store, sign_in).await, expected, "{who:?}");
        assert_eq!(everything(&store).await, before, "{who:?}");
    }
}

#[tokio::test]
async fn find_user_matches_by_link_and_by_email_address() {
    let store = TestStore::new().await;
    let (ada, _) = signed_in(&store, request(identity("ada"))).await;
    let pat = store.add_user("pat").await;
    let owner = async |identity: ExternalIdentity| {
        let found = ExternalLoginStore::find_user(&*store, &identity).await;
        found.unwrap().map(|user| user.id)
    };
    let moved = ExternalIdentity {
        email: pat.email.clone(),
        ..identity("ada")
    };

    assert_eq!(owner(moved).await, Some(ada.id));
    assert_eq!(owner(identity("pat")).await, Some(pat.id));
    assert_eq!(owner(identity("zoe")).await, None);
    store
        .delete_user(pat.id, false, &command_line())
        .await
        .unwrap();
    assert_eq!(owner(identity("pat")).await, None);
    assert!(
        store
            .find_link(pat.id, LoginType::Oidc)
            .await
            .unwrap()
            .is_none()
    );
}
