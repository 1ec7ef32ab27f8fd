"""Addresses of the account pages."""

from __future__ import annotations

from django.urls import path

from accounts import audit_views, door_views, reset_views, security_views, sso_views, views

account_urls = [
    path("setup/", views.set_up, name="setup"),
    path("login/", views.sign_in, name="login"),
    path("login/code/", door_views.second_step, name="second_step"),
    path("login/passkey/", door_views.passkey_sign_in, name="passkey_sign_in"),
    path("login/forgot/", reset_views.forgot, name="forgot"),
    path("login/reset/", reset_views.choose, name="reset"),
    path("login/sso/", sso_views.sign_in, name="sso"),
    path("login/sso/callback/", sso_views.callback, name="sso_callback"),
    path("logout/", views.sign_out, name="logout"),
    path("account/", views.profile, name="profile"),
    path("account/language/", views.reading_page, name="reading"),
    path("account/security/", security_views.security, name="security"),
    path("account/confirm/", door_views.confirm, name="confirm"),
    path("account/password/", security_views.change_password, name="password"),
    path("account/app/", security_views.add_app, name="add_app"),
    path("account/passkeys/", security_views.add_passkey, name="add_passkey"),
    path("account/passkeys/<int:pk>/", security_views.rename_passkey, name="rename_passkey"),
    path("account/factors/<int:pk>/remove/", security_views.remove_factor, name="remove_factor"),
    path("account/codes/", security_views.new_codes, name="new_codes"),
    path("account/sso/link/", sso_views.link, name="sso_link"),
    path("account/sso/unlink/", sso_views.unlink, name="sso_unlink"),
    path("account/sessions/end/", security_views.end_sessions, name="end_sessions"),
    path("account/tokens/", views.create_token, name="create_token"),
    path("account/tokens/<uuid:pk>/rotate/", views.rotate_token, name="rotate_token"),
    path("account/tokens/<uuid:pk>/revoke/", views.revoke_token, name="revoke_token"),
    path("audit/", audit_views.audit_list, name="audit"),
]
