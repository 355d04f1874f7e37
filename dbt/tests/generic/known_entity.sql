{#
    Some version of the dimension has the entity. It warns only: delivery reaches back behind the first snapshot, so an
    entity that was removed before it is in no dimension. Null ids are allowed.
#}
{% test known_entity(model, column_name, dimension, dimension_key, with_platform=false) %}
{{ config(severity='warn') }}

{%- set same_platform = 'facts.platform = entities.platform' if with_platform else 'true' %}

select distinct facts.{{ column_name }}
from {{ model }} as facts
left join {{ dimension }} as entities
    on
        facts.{{ column_name }} = entities.{{ dimension_key }}
        and {{ same_platform }}
where
    facts.{{ column_name }} is not null
    and entities.{{ dimension_key }} is null

{% endtest %}
