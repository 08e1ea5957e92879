"""Option and ini names of the pytest plugins that are used most, as they were in these versions."""

from __future__ import annotations

# fmt: off
KNOWN: dict[str, str] = {
    "pytest-cov 7.1.0": (
        "--cov --cov-append --cov-branch --cov-config --cov-context --cov-fail-under --cov-precision --cov-report "
        "--cov-reset --no-cov --no-cov-on-fail"
    ),
    "pytest-xdist 3.8.0": (
        "--dist --loadscope-reorder --looponfail --max-worker-restart --maxprocesses --maxschedchunk "
        "--no-loadscope-reorder --numprocesses --px --rsyncdir --rsyncignore --testrunuid --tx looponfailroots "
        "rsyncdirs rsyncignore"
    ),
    "pytest-asyncio 1.5.0": (
        "--asyncio-debug --asyncio-mode asyncio_debug asyncio_default_fixture_loop_scope "
        "asyncio_default_test_loop_scope asyncio_mode"
    ),
    "pytest-mock 3.17.0": "mock_traceback_monkeypatch mock_use_standalone_module",
    "pytest-timeout 2.4.0": (
        "--session-timeout --timeout --timeout-disable-debugger-detection --timeout-method --timeout_method "
        "session_timeout timeout timeout_disable_debugger_detection timeout_func_only timeout_method"
    ),
    "pytest-rerunfailures 16.7": (
        "--fail-on-flaky --force-reruns --max-suite-reruns --only-rerun --rerun-except --rerun-exclude-path "
        "--rerun-show-tracebacks --reruns --reruns-delay --reruns-delay-backoff-factor --reruns-mode only_rerun "
        "rerun_except reruns reruns_delay reruns_delay_backoff_factor"
    ),
    "pytest-html 4.2.0": (
        "--css --html --self-contained-html environment_table_redact_list generate_report_on_test initial_sort "
        "max_asset_filename_length render_collapsed"
    ),
    "pytest-metadata 3.1.1": "--metadata --metadata-from-json --metadata-from-json-file",
    "pytest-django 4.14.0": (
        "--create-db --dc --ds --fail-on-template-vars --liveserver --migrations --no-migrations --nomigrations "
        "--reuse-db DJANGO_CONFIGURATION DJANGO_SETTINGS_MODULE FAIL_INVALID_TEMPLATE_VARS django_debug_mode "
        "django_find_project"
    ),
    "pytest-flask 1.3.0": (
        "--live-server-clean-stop --live-server-host --live-server-port --live-server-wait "
        "--no-live-server-clean-stop --no-start-live-server --start-live-server live_server_scope"
    ),
    "pytest-randomly 5.1.0": "--randomly-dont-reorganize --randomly-dont-reset-seed --randomly-seed",
    "pytest-sugar 1.1.1": "--force-sugar --old-summary --sugar-no-trace --sugar-trace-dir",
    "pytest-benchmark 5.3.1": (
        "--benchmark-autosave --benchmark-calibration-precision --benchmark-columns --benchmark-compare "
        "--benchmark-compare-fail --benchmark-confidence --benchmark-cprofile --benchmark-cprofile-dump "
        "--benchmark-cprofile-loops --benchmark-cprofile-top --benchmark-disable --benchmark-disable-gc "
        "--benchmark-enable --benchmark-group-by --benchmark-histogram --benchmark-json --benchmark-max-time "
        "--benchmark-min-rounds --benchmark-min-time --benchmark-name --benchmark-netrc --benchmark-only "
        "--benchmark-precision --benchmark-quiet --benchmark-save --benchmark-save-data --benchmark-skip "
        "--benchmark-sort --benchmark-storage --benchmark-time-unit --benchmark-timer --benchmark-verbose "
        "--benchmark-warmup --benchmark-warmup-iterations"
    ),
    "pytest-env 1.8.5": "--envfile --pytest-env-verbose env env_files env_files_skip_if_set",
    "pytest-split 0.11.0": (
        "--clean-durations --durations-path --group --splits --splitting-algorithm --store-durations"
    ),
    "pytest-bdd 9.0.1": (
        "--cucumber-json --cucumberjson --feature --generate-missing --gherkin-terminal-reporter "
        "bdd_features_base_dir"
    ),
    "pytest-repeat 0.9.4": "--count --repeat-scope",
    "pytest-subtests 0.15.0": "--no-subtests-reports --no-subtests-shortletter",
    "pytest-instafail 0.5.0": "--instafail",
    "pytest-order 1.5.0": (
        "--error-on-failed-ordering --fail-all-on-failed-ordering --indulgent-ordering --order-after-ff "
        "--order-dependencies --order-group-scope --order-marker-prefix --order-scope --order-scope-level "
        "--sparse-ordering"
    ),
    "pytest-json-report 1.5.0": (
        "--json-report --json-report-file --json-report-indent --json-report-omit --json-report-summary "
        "--json-report-verbosity"
    ),
    "pytest-socket 0.8.1": "--allow-hosts --allow-unix-socket --disable-socket --force-enable-socket",
    "pytest-playwright 0.10.0": (
        "--base-url --browser --browser-channel --device --full-page-screenshot --headed --output "
        "--playwright-debug --screenshot --slowmo --tracing --video base_url"
    ),
    "pytest-base-url 2.1.0": "--base-url --verify-base-url base_url",
    "pytest-docker 3.2.6": "--container-scope",
    "pytest-postgresql 10.0.0": (
        "--postgresql-dbname --postgresql-drop-test-database --postgresql-exec --postgresql-host --postgresql-load "
        "--postgresql-load-autocommit --postgresql-maintenance-dbname --postgresql-options --postgresql-password "
        "--postgresql-port --postgresql-port-search-count --postgresql-postgres-options --postgresql-startparams "
        "--postgresql-unixsocketdir --postgresql-user postgresql_dbname postgresql_exec postgresql_host "
        "postgresql_load postgresql_load_autocommit postgresql_maintenance_dbname postgresql_options "
        "postgresql_password postgresql_port postgresql_port_search_count postgresql_postgres_options "
        "postgresql_startparams postgresql_unixsocketdir postgresql_user"
    ),
    "pytest-random-order 1.2.0": "--random-order --random-order-bucket --random-order-seed",
    "pytest-picked 0.5.1": "--mode --parent-branch --picked",
    "pytest-testmon 2.2.0": (
        "--no-testmon --testmon --testmon-env --testmon-forceselect --testmon-nocollect --testmon-noselect --tmnet "
        "environment_expression testmon_ignore_dependencies tmnet_api_key tmnet_url"
    ),
    "pytest-dotenv 0.5.2": "--envfile env_files env_override_existing_values",
    "pytest-regressions 2.11.0": "--force-regen --regen-all --with-test-class-names",
    "pytest-recording 0.14.1": "--allowed-hosts --block-network --disable-recording --record-mode",
    "pytest-check 3.0.3": "--check-max-fail --check-max-report --check-max-tb --check-max-tb-line",
    "pytest-dependency 0.6.1": "--ignore-unknown-dependency automark_dependency",
    "pytest-reportlog 1.0.0": "--report-log --report-log-exclude-logs-on-passed-tests",
    "pytest-retry 1.7.0": (
        "--cumulative-timing --retries --retry-delay --retry-outcome cumulative_timing retries retry_delay "
        "retry_outcome"
    ),
    "pytest-icdiff 0.9": (
        "--icdiff-cols --icdiff-highlight --icdiff-line-numbers --icdiff-show-all-spaces "
        "--icdiff-strip-trailing-cr --icdiff-tabsize --icdiff-truncate"
    ),
    "pytest-qt 4.5.0": (
        "--no-qt-log --qt-log-format qt_api qt_default_raising qt_log_ignore qt_log_level_fail "
        "qt_no_exception_capture qt_qapp_name"
    ),
    "pytest-selenium 4.1.0": (
        "--capability --driver --driver-path --event-listener --selenium-host --selenium-port --sensitive-url "
        "max_driver_init_attempts saucelabs_data_center saucelabs_job_auth selenium_capture_debug "
        "selenium_exclude_debug sensitive_url"
    ),
    "pytest-profiling 1.8.1": "--element-number --profile --profile-svg --pstats-dir --strip-dirs",
    "pytest-memray 1.11.0": (
        "--fail-on-increase --hide-memray-summary --memray --memray-bin-path --memray-bin-prefix "
        "--most-allocations --native --stacks --trace-python-allocators fail-on-increase hide_memray_summary "
        "memray most_allocations native stacks trace_python_allocators verbosity_memray"
    ),
    "pytest-mypy 1.1.0": (
        "--mypy --mypy-config-file --mypy-ignore-missing-imports --mypy-no-status-check --mypy-report-style "
        "--mypy-xfail"
    ),
    "pytest-codspeed 5.0.4": (
        "--codspeed --codspeed-max-rounds --codspeed-max-time --codspeed-mode --codspeed-warmup-time"
    ),
    "syrupy 7.0.2": (
        "--snapshot-declaration-order --snapshot-default-extension --snapshot-details --snapshot-diff-mode "
        "--snapshot-dirname --snapshot-disable-unused --snapshot-file-lock-timeout "
        "--snapshot-ignore-file-extensions --snapshot-no-cleanup --snapshot-no-colors "
        "--snapshot-patch-pycharm-diff --snapshot-update --snapshot-update-new-only --snapshot-warn-unused"
    ),
    "hypothesis 6.170.17": (
        "--hypothesis-explain --hypothesis-profile --hypothesis-seed --hypothesis-show-statistics "
        "--hypothesis-verbosity"
    ),
    "anyio 4.16.0": "--anyio-mode anyio_mode",
    "allure-pytest 2.16.2": (
        "--allure-epics --allure-features --allure-ids --allure-label --allure-link-pattern --allure-no-capture "
        "--allure-severities --allure-stories --alluredir --clean-alluredir --inversion"
    ),
}
"""Plugin and version -> what it adds to the command line and to the ini file."""
