"""The dashboard at `/dashboard`: what is served and how it fares, in tables and plots drawn on the server.

A view is one function from a visit to a `Page` (`content`), named in `views.VIEWS`; `app` answers it as a page, and
each of its tables as CSV. Pages work without JavaScript; `page.js` adds the theme, the slider and what is live.
"""
