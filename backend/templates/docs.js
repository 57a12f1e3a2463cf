"use strict";

// Neither cookie nor CSRF token goes along: the API takes nothing but the bearer token.
SwaggerUIBundle({
  url: "{{ schema_url|escapejs }}",
  dom_id: "#swagger-ui",
  layout: "BaseLayout",
  withCredentials: false,
  ...{{ settings|safe }},
});
