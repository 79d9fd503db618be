use std::{
    io,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpListener,
    task::JoinHandle,
};

use usher_store::{MockOutboxStore, StoreError};

use super::*;
use crate::{
    Notifier, NotifierOptions,
    sample::{base_url, labels, message, notification},
};

/// A mail server for one e-mail. It responds to the command in `refusal` with the given line (if
/// empty, not at all), and accepts all others. Returns the lines it received.
async fn server(
    extensions: &'static [&'static str],
    refusal: Option<(&'static str, &'static str)>,
) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let smarthost = listener.local_addr().unwrap().to_string();
    let talk = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read).lines();
        let mut heard = Vec::new();
        let mut is_mail = false;
        write.write_all(b"220 mail.test\r\n").await.unwrap();
        while let Ok(Some(line)) = lines.next_line().await {
            heard.push(line.clone());
            let word = line.split(' ').next().unwrap_or_default();
            if is_mail && line != "." {
                continue;
            }
            is_mail = false;
            let answer = match (word, refusal) {
                (word, Some((refused, answer))) if word == refused => answer.to_owned(),
                ("EHLO", _) => {
                    let lines = extensions.iter().map(|line| format!("250-{line}\r\n"));
                    format!("250-mail.test\r\n{}250 8BITMIME", lines.collect::<String>())
                }
                ("DATA", _) => {
                    is_mail = true;
                    "354 go on".to_owned()
                }
                ("AUTH", _) => "235 welcome".to_owned(),
                ("QUIT", _) => "221 bye".to_owned(),
                _ => "250 ok".to_owned(),
            };
            if answer.is_empty() {
                continue;
            }
            let answer = format!("{answer}\r\n");
            if write.write_all(answer.as_bytes()).await.is_err() {
                break;
            }
        }
        heard
    });
    (smarthost, talk)
}

fn settings(smarthost: String) -> SmtpSettings {
    SmtpSettings {
        smarthost,
        from: "Usher <usher@mail.test>".to_owned(),
        credentials: None,
        tls: None,
        hello: Some("usher.test".to_owned()),
    }
}

async fn refused(command: &'static str, answer: &'static str) -> DispatchError {
    let (smarthost, _talk) = server(&[], Some((command, answer))).await;
    Smtp::new(settings(smarthost))
        .unwrap()
        .dispatch(&notification(&message(NotificationMethod::Smtp)))
        .await
        .unwrap_err()
}

/// Decodes quoted-printable and joins lines.
fn unquoted(lines: &[String]) -> String {
    let joined = lines.join("\n").replace("=\n", "");
    let mut bytes = Vec::new();
    let mut rest = joined.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = (*first == b'=').then(|| tail.get(..2)).flatten();
        let byte = code
            .and_then(|code| std::str::from_utf8(code).ok())
            .and_then(|code| u8::from_str_radix(code, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn a_mail_has_a_plain_and_an_html_part() {
    let (smarthost, talk) = server(&[], None).await;
    let smtp = Smtp::new(settings(smarthost)).unwrap();

    smtp.dispatch(&notification(&message(NotificationMethod::Smtp)))
        .await
        .unwrap();

    let heard = talk.await.unwrap();
    assert_eq!(
        heard[..4],
        [
            "EHLO usher.test",
            "MAIL FROM:<usher@mail.test>",
            "RCPT TO:<alice@example.com>",
            "DATA"
        ]
    );
    let mail = unquoted(&heard);
    for part in [
        "From: Usher <usher@mail.test>",
        "To: \"Alice Liddell\" <alice@example.com>",
        "Subject: New account: bob",
        "Message-ID: <00000000-0000-0000-0000-000000000001@mail.test>",
        "Auto-Submitted: auto-generated",
        "Content-Type: multipart/alternative",
        "Hello Alice Liddell,\n\ncarol added bob.\n\nSee bob: https://usher.test/users?filter=bob",
        "<p>carol added <strong>bob</strong>.</p>",
        "<a href=\"https:&#x2f;&#x2f;usher.test&#x2f;users?filter=bob\"",
    ] {
        assert!(mail.contains(part), "{part} in\n{mail}");
    }
}

#[tokio::test]
async fn a_malicious_name_adds_no_header_or_markup() {
    let (smarthost, talk) = server(&[], None).await;
    let smtp = Smtp::new(settings(smarthost)).unwrap();
    let mut message = message(NotificationMethod::Smtp);
    let name = "<script>alert(1)</script>\r\nBcc: <evil@evil.io>\r\n.\r\nMAIL FROM:<x@y.z>";
    message.name = name.to_owned();
    message.labels = labels(&[("username", name), ("initiator", "[a](javascript:b)")]);

    smtp.dispatch(&notification(&message)).await.unwrap();

    let heard = talk.await.unwrap();
    let headers: Vec<&String> = heard.iter().take_while(|line| !line.is_empty()).collect();
    let of_word = |word| headers.iter().filter(|line| line.starts_with(word)).count();
    assert_eq!(of_word("MAIL FROM"), 1);
    assert_eq!(of_word("RCPT TO"), 1);
    assert_eq!(of_word("To: "), 1);
    assert_eq!(of_word("Bcc"), 0);
    assert_eq!(heard.iter().filter(|line| *line == ".").count(), 1);
    let mail = unquoted(&heard);
    let html = &mail[mail.find("<!doctype html>").unwrap()..];
    assert!(!html.contains("<script"), "{html}");
    assert!(!html.contains("href=\"javascript"), "{html}");
    assert!(html.contains("&lt;script&gt;"), "{html}");
}

#[tokio::test]
async fn the_response_decides_whether_to_retry() {
    let temporary =
        |code| DispatchError::Temporary(format!("the mail server responded with {code}"));
    let permanent =
        |code| DispatchError::Permanent(format!("the mail server responded with {code}"));
    let full = "452 <alice@example.com> has no space";
    assert_eq!(refused("RCPT", full).await, temporary(452));
    let unknown = "550 5.1.1 <alice@example.com> unknown";
    assert_eq!(refused("RCPT", unknown).await, permanent(550));
    assert_eq!(refused("DATA", "554 no").await, permanent(554));
    assert_eq!(refused(".", "451 later").await, temporary(451));
    assert_eq!(refused("MAIL", "530 sign in first").await, temporary(530));
}

#[tokio::test]
async fn invalid_and_missing_responses_are_temporary_failures() {
    let nonsense = refused("RCPT", "alice@example.com?").await;
    assert!(
        matches!(&nonsense, DispatchError::Temporary(reason)
        if reason == "the mail server sent an invalid response"),
        "{nonsense:?}"
    );

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let smarthost = listener.local_addr().unwrap().to_string();
    drop(listener);
    let unreachable = Smtp::new(settings(smarthost))
        .unwrap()
        .dispatch(&notification(&message(NotificationMethod::Smtp)))
        .await;
    assert!(matches!(unreachable, Err(DispatchError::Temporary(reason))
        if reason.starts_with("could not connect to the mail server: ")));
}

#[tokio::test]
async fn an_invalid_email_address_is_a_permanent_failure() {
    let mut message = message(NotificationMethod::Smtp);
    message.email = "not-an-address".to_owned();
    let smtp = Smtp::new(settings("127.0.0.1:1".to_owned())).unwrap();
    assert!(matches!(
        smtp.dispatch(&notification(&message)).await,
        Err(DispatchError::Permanent(reason)) if !reason.contains("not-an-address")
    ));
}

#[tokio::test]
async fn a_missing_response_to_quit_is_not_a_failure() {
    let (smarthost, _talk) = server(&[], Some(("QUIT", ""))).await;
    Smtp::new(settings(smarthost))
        .unwrap()
        .dispatch(&notification(&message(NotificationMethod::Smtp)))
        .await
        .unwrap();
}

fn with_credentials(smarthost: String, tls: Option<SmtpTls>) -> SmtpSettings {
    SmtpSettings {
        credentials: Some(SmtpCredentials {
            username: "usher".to_owned(),
            password: "secret".into(),
        }),
        tls,
        ..settings(smarthost)
    }
}

#[tokio::test]
async fn credentials_are_sent() {
    let (smarthost, talk) = server(&["AUTH PLAIN"], None).await;
    let smtp = Smtp::new(with_credentials(smarthost, Some(SmtpTls::None))).unwrap();

    smtp.dispatch(&notification(&message(NotificationMethod::Smtp)))
        .await
        .unwrap();

    assert_eq!(talk.await.unwrap()[1], "AUTH PLAIN AHVzaGVyAHNlY3JldA==");
}

#[tokio::test]
async fn credentials_are_not_sent_without_tls() {
    let (smarthost, talk) = server(&["AUTH PLAIN"], None).await;
    let smtp = Smtp::new(with_credentials(smarthost, None)).unwrap();

    let result = smtp
        .dispatch(&notification(&message(NotificationMethod::Smtp)))
        .await;

    assert!(
        matches!(result, Err(DispatchError::Temporary(_))),
        "{result:?}"
    );
    let heard = talk.await.unwrap();
    assert!(
        !heard.iter().any(|line| line.starts_with("AUTH")),
        "{heard:?}"
    );
}

#[test]
fn the_port_and_the_credentials_decide_how_to_encrypt() {
    assert_eq!(default_tls(465, true), SmtpTls::Implicit);
    assert_eq!(default_tls(465, false), SmtpTls::Implicit);
    assert_eq!(default_tls(587, true), SmtpTls::Required);
    assert_eq!(default_tls(25, false), SmtpTls::Opportunistic);
}

#[test]
fn invalid_settings_are_errors() {
    assert_eq!(host_and_port("mail.test:25"), Some(("mail.test", 25)));
    assert_eq!(host_and_port("[::1]:25"), Some(("::1", 25)));
    for text in [
        "",
        "mail.test",
        "mail.test:",
        ":25",
        "mail.test:0",
        "::1:25",
        "a:70000",
    ] {
        assert!(
            matches!(
                Smtp::new(settings(text.to_owned())),
                Err(SmtpSettingsError::Smarthost)
            ),
            "{text}"
        );
    }
    let anonymous = SmtpSettings {
        from: String::new(),
        ..settings("mail.test:25".to_owned())
    };
    assert!(matches!(
        Smtp::new(anonymous),
        Err(SmtpSettingsError::From(_))
    ));
}

/// Captures the log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The server repeats the e-mail address in its response; the worker logs at every level.
#[tokio::test]
async fn email_addresses_and_passcodes_are_not_logged_or_recorded() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    for refusal in [None, Some(("RCPT", "550 <alice@example.com> pass-1234"))] {
        let (smarthost, _talk) = server(&[], refusal).await;
        let mut message = message(NotificationMethod::Smtp);
        message.template.body_template = "{{ labels.one_time_passcode }}".to_owned();
        message.labels = labels(&[("one_time_passcode", "pass-1234")]);
        let mut store = MockOutboxStore::new();
        store
            .expect_subscribe()
            .returning(|| Err(StoreError::Unavailable("not listening".into())));
        store
            .expect_lease_messages()
            .return_once(|_, _, _, _| Ok(vec![message]));
        store.expect_delete_old_messages().returning(|_| Ok(0));
        store.expect_mark_sent().returning(|_, _, _| Ok(Some(())));
        store
            .expect_mark_failed()
            .withf(|_, _, reason, _, _| reason == "the mail server responded with 550")
            .returning(|_, _, _, _, _| Ok(Some(())));
        let smtp: Arc<dyn Dispatcher> = Arc::new(Smtp::new(settings(smarthost)).unwrap());
        let notifier = Notifier::new(Arc::new(store), [smtp], NotifierOptions::new(base_url()));
        notifier
            .run(tokio::time::sleep(Duration::from_millis(500)))
            .await;
    }

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("delivered a notification"), "{log}");
    assert!(log.contains("will not retry"), "{log}");
    assert!(
        log.contains("message.template=\"User account created\""),
        "{log}"
    );
    for secret in ["alice", "Alice", "pass-1234"] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[tokio::test]
async fn a_check_connects_and_sends_nothing() {
    let (smarthost, talk) = server(&[], None).await;

    Smtp::new(settings(smarthost))
        .unwrap()
        .check()
        .await
        .unwrap();

    assert_eq!(talk.await.unwrap(), ["EHLO usher.test", "QUIT"]);
}

#[tokio::test]
async fn a_failed_check_returns_the_reason() {
    let (smarthost, _talk) = server(&[], Some(("EHLO", "554 go away"))).await;
    let refused = Smtp::new(settings(smarthost)).unwrap().check().await;
    assert!(refused.unwrap_err().to_string().contains("554"));

    // A port without a listener.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let smarthost = listener.local_addr().unwrap().to_string();
    drop(listener);
    let refused = Smtp::new(settings(smarthost)).unwrap().check().await;
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .starts_with("could not connect to the mail server")
    );
}
