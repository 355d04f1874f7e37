{% macro generate_schema_name(custom_schema_name, node) -%}
    {#- Schemas are called what the project calls them; a prefix keeps pull requests and people apart. -#}
    {%- set prefix = var('schema_prefix') or env_var('ADELT_SCHEMA_PREFIX', '') -%}
    {{- prefix ~ (custom_schema_name or target.schema) | trim -}}
{%- endmacro %}


{# What a query says about itself: the run (adelt's id) and the node. #}
{% macro query_comment(node) -%}
    {%- set said = {'tool': 'adelt'} -%}
    {%- if env_var('ADELT_RUN_ID', '') -%}
        {%- do said.update(run=env_var('ADELT_RUN_ID')) -%}
    {%- endif -%}
    {%- if node is not none -%}
        {%- do said.update(node=node.name) -%}
    {%- endif -%}
    {{ return(tojson(said)) }}
{%- endmacro %}
