{# Lists of records. An empty list and no list are the same thing: never ask whether a list is null. #}

{# The elements of a list, to be used after `from` or `join`; `element.field` reaches into a record. #}
{% macro unnest(list, element) -%}
    {{ adapter.dispatch('unnest')(list, element) }}
{%- endmacro %}

{% macro default__unnest(list, element) -%}
    unnest({{ list }}) as _{{ element }} ({{ element }})
{%- endmacro %}

{% macro bigquery__unnest(list, element) -%}
    unnest({{ list }}) as {{ element }}
{%- endmacro %}


{# One value computed from a list: `over_list('sum(s.amount)', 'budget.segments', 's')`; null for an empty list. #}
{% macro over_list(aggregate, list, element) -%}
    (select {{ aggregate }} from {{ unnest(list, element) }})
{%- endmacro %}
