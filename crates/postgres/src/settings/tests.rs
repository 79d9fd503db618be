use usher_domain::{
    UserId,
    settings::{Appearance, Preferences, TerminalFont},
};
use usher_store::{SettingsStore, StoreError};
use uuid::Uuid;

use crate::testing::{TestStore, run_concurrently};

fn appearance(theme: &str, font: TerminalFont) -> Appearance {
    Appearance {
        theme: theme.to_owned(),
        terminal_font: font.as_str().to_owned(),
    }
}

#[tokio::test]
async fn settings_that_were_never_set_are_empty() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;

    let found = store.find_appearance(ada.id).await.unwrap();
    assert_eq!(found, Appearance::default());
    let found = store.find_preferences(ada.id).await.unwrap();
    assert_eq!(found, Preferences::default());
}

#[tokio::test]
async fn settings_are_stored_per_user_and_not_audited() {
    let store = TestStore::new().await;
    let (ada, bob) = (store.add_user("ada").await, store.add_user("bob").await);
    let rows = store.audit().await.len();

    for (user, theme, font) in [
        (&ada, "dark", TerminalFont::FiraCode),
        (&ada, "light", TerminalFont::JetbrainsMono),
        (&bob, "auto", TerminalFont::IbmPlexMono),
    ] {
        let set = store.set_appearance(user.id, theme, font).await.unwrap();
        assert_eq!(set, appearance(theme, font));
    }

    let found = store.find_appearance(ada.id).await.unwrap();
    assert_eq!(found, appearance("light", TerminalFont::JetbrainsMono));
    let found = store.find_appearance(bob.id).await.unwrap();
    assert_eq!(found, appearance("auto", TerminalFont::IbmPlexMono));
    assert_eq!(store.audit().await.len(), rows);
}

#[tokio::test]
async fn a_theme_is_not_stored_without_its_font() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;
    store
        .sql("ALTER TABLE user_configs ADD CHECK (key <> 'terminal_font')")
        .await;

    let set = store.set_appearance(ada.id, "dark", TerminalFont::FiraCode);

    assert!(matches!(set.await, Err(StoreError::Internal(_))));
    let found = store.find_appearance(ada.id).await.unwrap();
    assert_eq!(found, Appearance::default());
}

#[tokio::test]
async fn theme_and_font_are_set_together_by_one_of_concurrent_calls() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;
    let looks = [
        ("one", TerminalFont::FiraCode),
        ("two", TerminalFont::SourceCodePro),
    ];
    let tasks = (0..16).map(|i| {
        let (store, id, (theme, font)) = (store.share(), ada.id, looks[i % 2]);
        async move { store.set_appearance(id, theme, font).await }
    });

    for result in run_concurrently(tasks).await {
        result.unwrap();
    }

    let found = store.find_appearance(ada.id).await.unwrap();
    assert!(
        looks
            .map(|(theme, font)| appearance(theme, font))
            .contains(&found)
    );
}

#[tokio::test]
async fn a_preference_is_stored_as_a_word_and_apart_from_the_appearance() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;
    store
        .set_appearance(ada.id, "dark", TerminalFont::FiraCode)
        .await
        .unwrap();
    let stored = "SELECT value FROM user_configs \
                  WHERE key = 'preference_task_notification_alert_dismissed'";

    for (is_dismissed, word) in [(true, "true"), (false, "false"), (true, "true")] {
        let preferences = Preferences {
            task_notification_alert_dismissed: is_dismissed,
        };
        let set = store.set_preferences(ada.id, preferences).await.unwrap();
        assert_eq!(set, preferences);
        assert_eq!(store.value(stored).await, word);
        let found = store.find_preferences(ada.id).await.unwrap();
        assert_eq!(found, preferences);
    }

    let found = store.find_appearance(ada.id).await.unwrap();
    assert_eq!(found, appearance("dark", TerminalFont::FiraCode));
}

#[tokio::test]
async fn a_user_that_does_not_exist_has_no_settings() {
    let store = TestStore::new().await;

    let set = store
        .set_preferences(UserId(Uuid::nil()), Preferences::default())
        .await;

    assert!(matches!(set, Err(StoreError::Internal(_))), "{set:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_changes_of_different_users_are_all_stored() {
    let store = TestStore::new().await;
    let mut users = Vec::new();
    for n in 0..20 {
        users.push(store.add_user(&format!("user-{n}")).await.id);
    }
    let tasks = users.clone().into_iter().enumerate().map(|(n, user)| {
        let store = store.share();
        async move {
            let preferences = Preferences {
                task_notification_alert_dismissed: n % 2 == 0,
            };
            store.set_preferences(user, preferences).await.unwrap();
            let theme = format!("theme-{n}");
            let set = store.set_appearance(user, &theme, TerminalFont::FiraCode);
            set.await.unwrap();
        }
    });

    run_concurrently(tasks).await;

    for (n, user) in users.into_iter().enumerate() {
        let found = store.find_preferences(user).await.unwrap();
        assert_eq!(found.task_notification_alert_dismissed, n % 2 == 0);
        let found = store.find_appearance(user).await.unwrap();
        let theme = format!("theme-{n}");
        assert_eq!(found, appearance(&theme, TerminalFont::FiraCode));
    }
}
