//! Mock providers, and the browser's side of sign-ins through them.

use std::sync::Arc;

use chrono::TimeDelta;
use serde_json::Value;
use url::Url;
use usher_api::Provider;
use usher_domain::{
    DisplayName, Email, LoginType,
    external_login::{ExternalIdentity, LinkClaims, ProviderTokens},
};
use usher_identity::{Flow, IdentifyError, MockIdentityProvider};
use usher_store::{ExternalLogin, RefreshLease, SigningFeature, SigningKey};

use crate::{
    app::{Answer, TestApp},
    people::{CALLER, now},
    stores::signing_key,
};

pub(crate) const GITHUB: &str = "/api/v2/users/oauth2/github/callback";
pub(crate) const OIDC: &str = "/api/v2/users/oidc/callback";
pub(crate) const SECOND: &str = "/api/v2/users/oidc/2/callback";

/// A provider client that redirects to `https://id.example/authorize` with all its
/// arguments.
pub(crate) fn client(login_type: LoginType) -> MockIdentityProvider {
    let mut client = MockIdentityProvider::new();
    client.expect_login_type().return_const(login_type);
    client.expect_uses_device_flow().return_const(false);
    client.expect_authorization_url().returning(|flow| {
        let mut url = Url::parse("https://id.example/authorize").expect("a URL");
        url.query_pairs_mut()
            .append_pair("state", &flow.state)
            .append_pair("nonce", &flow.nonce);
        Ok(url)
    });
    client
}

/// A provider client that returns this identity for every code.
pub(crate) fn client_that_says(
    login_type: LoginType,
    answer: impl Fn(&Flow) -> Result<ExternalIdentity, IdentifyError> + Send + 'static,
) -> MockIdentityProvider {
    let mut client = client(login_type);
    client
        .expect_identify()
        .returning(move |_, flow| answer(flow));
    client
}

/// GitHub's device flow.
pub(crate) fn device_client() -> MockIdentityProvider {
    let mut client = MockIdentityProvider::new();
    client.expect_login_type().return_const(LoginType::Github);
    client.expect_uses_device_flow().return_const(true);
    client
}

pub(crate) fn offered(client: MockIdentityProvider) -> Provider {
    Provider {
        client: Arc::new(client),
        may_claim_by_address: true,
        allow_sign_ups: true,
        sign_ups_disabled_text: String::new(),
        sign_in_text: "OpenID Connect".into(),
        icon_url: String::new(),
    }
}

/// A provider client without expectations for the callback.
pub(crate) fn provider(login_type: LoginType) -> Provider {
    offered(client(login_type))
}

/// An app without a caller and with these providers, which can sign states.
pub(crate) fn app_with_providers(github: Option<Provider>, oidc: Vec<Provider>) -> TestApp {
    let mut app = TestApp::anonymous();
    app.providers.github = github;
    app.providers.oidc = oidc;
    sign_states(&mut app);
    app
}

/// Expects lookups of the key for states, to sign and to verify.
pub(crate) fn sign_states(app: &mut TestApp) {
    app.signing_keys
        .expect_signing_key()
        .withf(|feature, _, _| *feature == SigningFeature::SignInState)
        .returning(|_, _, _| Ok(state_key()));
    app.signing_keys
        .expect_list_verifying_keys()
        .withf(|feature, at| *feature == SigningFeature::SignInState && *at == now())
        .returning(|_, _| Ok(vec![signing_key(), state_key()]));
}

/// The signing key of states.
fn state_key() -> SigningKey {
    use secrecy::SecretBox;
    SigningKey {
        sequence: 8,
        secret: SecretBox::new(Box::new([9; 64])),
    }
}

/// A new user of a provider.
pub(crate) fn identity(login_type: LoginType) -> ExternalIdentity {
    ExternalIdentity {
        login_type,
        link_id: "https://id.example||s-1".into(),
        email: Email::parse("ann@example.com").expect("an address"),
        username: "ann_lee".into(),
        name: DisplayName::parse("Ann Lee").expect("a name"),
        avatar_url: "https://id.example/ann.png".into(),
        github_com_user_id: None,
        tokens: tokens("access"),
        claims: LinkClaims {
            id_token: Value::Null,
            secondary: Value::Null,
            merged: Value::Null,
        },
    }
}

pub(crate) fn tokens(access: &str) -> ProviderTokens {
    ProviderTokens {
        access_token: access.into(),
        refresh_token: Some("refresh".into()),
        expires_at: Some(now() + TimeDelta::hours(1)),
    }
}

/// The value of a cookie that the response sets.
pub(crate) fn cookie(answer: &Answer, name: &str) -> Option<String> {
    answer.cookies().into_iter().find_map(|cookie| {
        let (given, rest) = cookie.split_once('=')?;
        let value = rest.split(';').next()?;
        (given == name).then(|| value.to_owned())
    })
}

/// Starts a sign-in and returns the state in the browser's cookie.
pub(crate) async fn begin(app: &mut TestApp, path: &str) -> String {
    let answer = app.get(path).await;
    answer.assert_status(307);
    cookie(&answer, "oauth_state").expect("a state")
}

/// Returns from the provider with a code, the state cookie and these other cookies.
pub(crate) async fn come_back(app: &mut TestApp, path: &str, state: &str, more: &str) -> Answer {
    let cookies = format!("oauth_state={state}{more}");
    app.get_with(
        &format!("{path}?code=c&state={state}"),
        &[("Cookie", &cookies)],
    )
    .await
}

/// Runs a complete sign-in.
pub(crate) async fn sign_in(app: &mut TestApp, path: &str) -> Answer {
    let state = begin(app, path).await;
    come_back(app, path, &state, "").await
}

/// The store has no refresh tokens.
pub(crate) fn cannot_renew(app: &mut TestApp) {
    app.external_logins
        .expect_begin_refresh()
        .returning(|user_id, login_type, _, _, _| {
            Ok(Some(RefreshLease::Mine(ExternalLogin {
                user_id,
                login_type,
                link_id: String::new(),
                tokens: ProviderTokens {
                    refresh_token: None,
                    ..tokens("old")
                },
            })))
        });
    app.external_logins
        .expect_end_refresh()
        .returning(|_, _, _| Ok(()));
}

/// The caller's provider link, with a refresh token.
pub(crate) fn link(login_type: LoginType) -> ExternalLogin {
    ExternalLogin {
        user_id: CALLER,
        login_type,
        link_id: "https://id.example||s-1".into(),
        tokens: tokens("old"),
    }
}
