//! Changed settings.

use super::*;

#[test]
fn other_settings_leave_alone_what_they_do_not_concern() {
    let client = Client::new(ClientSettings { wait_scale: 0.0, ..ClientSettings::default() });
    let (transport, answers) = (client.transport(), client.answers.load_full());
    let mut config = Config::default();
    config.llm.max_retries = 1;
    client.configure(&config);
    assert_eq!((client.settings().max_retries, client.settings().wait_scale), (1, 0.0));
    assert!(Arc::ptr_eq(&transport, &client.transport()) && Arc::ptr_eq(&answers, &client.answers.load_full()));
    (config.llm.http2, config.llm.cache_entries) = (false, 0);
    client.configure(&config);
    assert!(!Arc::ptr_eq(&transport, &client.transport()) && !client.answers.load().is_on());
}
