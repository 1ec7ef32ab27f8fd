"""Pages for a lost password. They tell nobody who has an account.

What the templates get: ``forgot.html`` form (``None`` once it is sent, or where no mail can be), sent, by_mail;
``reset.html`` form (``None`` where the link is not good), link.
"""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from accounts import limits, reset
from accounts.access import PUBLIC, Actor, address_of, requires
from accounts.forms import ForgotForm, NewPasswordForm
from accounts.pages import locked_page


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@requires(PUBLIC)
def forgot(request: HttpRequest) -> HttpResponse:
    """Asks for a link by mail. The answer is the same for everybody."""
    form = ForgotForm(request.POST or None)
    context = {"form": form, "sent": False, "by_mail": reset.by_mail(), "locked": None}
    if request.method != "POST" or not reset.by_mail() or not form.is_valid():
        return render(request, "accounts/forgot.html", context)
    name, ip = form.cleaned_data["name"].strip(), address_of(request)
    try:
        # Every wish counts, and apart from passwords: who is locked out may still ask for a new one.
        limits.begin(f"reset:{name}", f"reset:{ip}"[:45] if ip else None)
    except limits.TooMany as error:
        return locked_page(request, "accounts/forgot.html", context, error)
    reset.send(name, Actor(user=None, source="ui", ip=ip))
    return render(request, "accounts/forgot.html", context | {"form": None, "sent": True})


@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@requires(PUBLIC)
def choose(request: HttpRequest) -> HttpResponse:
    """A new password, for whoever has the link. They sign in with it then, second step and all."""
    secret = request.POST.get("link") or request.GET.get("link", "")
    user = reset.owner(secret)
    form = NewPasswordForm(user, request.POST or None) if user else None
    if form and request.method == "POST" and form.is_valid():
        if reset.use(secret, form.cleaned_data["new"], address_of(request)):
            messages.success(request, _("Your password is changed. Sign in with it."), extra_tags="ok")
            return HttpResponseRedirect(reverse("accounts:login"))
        form = None
    answer = render(
        request, "accounts/reset.html", {"form": form, "link": secret}, status=200 if form else 403
    )
    # The address holds the secret: nobody is told it. See the set-up.
    answer["Referrer-Policy"] = "strict-origin"
    return answer
