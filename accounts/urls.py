"""Addresses of the account pages."""

from __future__ import annotations

from django.urls import path

from accounts import audit_views, views

account_urls = [
    path("setup/", views.set_up, name="setup"),
    path("login/", views.sign_in, name="login"),
    path("logout/", views.sign_out, name="logout"),
    path("account/", views.profile, name="profile"),
    path("account/password/", views.change_password, name="password"),
    path("account/tokens/", views.create_token, name="create_token"),
    path("account/tokens/<uuid:pk>/revoke/", views.revoke_token, name="revoke_token"),
    path("audit/", audit_views.audit_list, name="audit"),
]
