{% macro generate_schema_name(custom_schema_name, node) -%}
    {#- Schemas are called what the project calls them; a prefix keeps pull requests and people apart. -#}
    {%- set prefix = var('schema_prefix') or env_var('ADELT_SCHEMA_PREFIX', '') -%}
    {{- prefix ~ (custom_schema_name or target.schema) | trim -}}
{%- endmacro %}
