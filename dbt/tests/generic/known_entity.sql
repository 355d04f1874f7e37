{#
    Some version of the dimension has the entity. It warns and does not fail: what an entity belongs to can be hidden
    from the credentials, or be gone before the first snapshot. Null ids are allowed.
#}
{% test known_entity(model, column_name, dimension, dimension_key, with_platform=false) %}
{{ config(severity='warn') }}

{%- set same_platform = 'lower_level.platform = entities.platform' if with_platform else 'true' %}

select distinct lower_level.{{ column_name }}
from {{ model }} as lower_level
left join {{ dimension }} as entities
    on
        lower_level.{{ column_name }} = entities.{{ dimension_key }}
        and {{ same_platform }}
where
    lower_level.{{ column_name }} is not null
    and entities.{{ dimension_key }} is null

{% endtest %}
